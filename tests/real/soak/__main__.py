"""Soak every transport, with faults: ``python -m tests.real.soak MINUTES [SEED]``. Fifteen say something.

It ends with what the process held in the first half and in the second, and with status 1 if that has grown, or if any
call did not end as it must.
"""

import logging
import sys

import trio

from tests.real.soak.soaking import ROOM, Soak


async def main(minutes: float, seed: int) -> int:
    soak = Soak(seed)

    async def tell() -> None:
        while True:
            await trio.sleep(60)
            if soak.samples:
                print(f"{soak.calls} calls, {len(soak.mistakes)} mistakes, {soak.samples[-1]}", flush=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell)
        await soak.run(seconds=60 * minutes)
        nursery.cancel_scope.cancel()
    print(f"{soak.calls} calls in {len(soak.samples)} rounds, by transport and kind of fault:")
    for trial in soak.trials:
        kinds = ", ".join(f"{kind} {tally.whole}/{tally.calls}" for kind, tally in trial.tallies.items())
        print(f"  {trial.transport}: {kinds}; {trial.beside} words beside")
    first, second = soak.halves()
    for name, room in ROOM.items():
        print(f"  {name:<12}{getattr(first, name):>12}{getattr(second, name):>12}  may grow by {room}")
    wrong = [*soak.growth(), *soak.mistakes]
    print("\n".join(wrong) or "nothing grew, and every call ended as it must")
    return 1 if wrong else 0


if __name__ == "__main__":
    # Tasks of this report are not those of the calls: it is one more, all the time.
    logging.getLogger("trio_transports").setLevel(logging.ERROR)
    sys.exit(trio.run(main, float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
