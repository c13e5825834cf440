"""Soak every transport, with faults: ``python -m tests.real.soak MINUTES [SEED]``. Fifteen say something.

It ends with what the process held in the first half and in the second, and with status 1 if that has grown, or if any
call did not end as it must. Rounds during which the machine stood still are not judged; too many, and the status is 3.
"""

import logging
import sys

import trio

from tests.real.faults.standstill import report
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
    print(f"{soak.calls} calls in {soak.rounds} rounds ({soak.rounds_not_judged} not judged), by transport and kind:")
    for trial in soak.trials:
        kinds = ", ".join(f"{kind} {tally.whole}/{tally.calls}" for kind, tally in trial.tallies.items())
        print(f"  {trial.transport}: {kinds}; {trial.beside} words beside")
    return told(soak)


def told(soak: Soak) -> int:
    """Say what came of it, and give the exit status."""
    if nothing := soak.has_shown_nothing:
        return report(soak.mistakes, soak.not_judged, [nothing])
    first, second = soak.halves()
    for name, room in ROOM.items():
        print(f"  {name:<12}{getattr(first, name):>12}{getattr(second, name):>12}  may grow by {room}")
    status = report([*soak.growth(), *soak.mistakes], soak.not_judged, [])
    if not status:
        print("nothing grew, and every call that was judged ended as it must")
    return status


if __name__ == "__main__":
    # Tasks of this report are not those of the calls: it is one more, all the time.
    logging.getLogger("trio_transports").setLevel(logging.ERROR)
    sys.exit(trio.run(main, float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
