"""Overload, up to twice what a server can carry: ``python -m tests.real.overload [SECONDS [PLOT.svg]]``.

The bot of this server works for a fixed time on each frame, so that ten calls are all that one core can carry.
"""

import sys
from pathlib import Path

import trio

from benchmarks.svg import lines
from tests.real.overload.loading import LOADS, Measured, measure


async def main(seconds: float) -> list[Measured]:
    found = []
    print(f"{'load':>5}{'echo':>9}{'control':>9}{'connect':>9}{'close':>9}{'lost':>8}  closed well")
    for factor in LOADS:
        at = await measure(factor, seconds)
        found.append(at)
        times = "".join(f"{ms:>6.0f} ms" for ms in (at.echo_ms, at.control_ms, at.connect_ms, at.close_ms))
        print(f"{at.load:>5}{times}{at.lost:>8.1%}  {at.closed_well} of {at.calls}", flush=True)
    return found


def plot(found: list[Measured]) -> str:
    series = {
        "audio there and back": [(at.load, at.echo_ms) for at in found],
        "a control message there and back": [(at.load, at.control_ms) for at in found],
        "a close": [(at.load, at.close_ms) for at in found],
        "audio dropped, per mille": [(at.load, 1000 * at.lost) for at in found],
    }
    title = "Overload: the 95th percentile, by how many times as many calls as can be carried"
    return lines(title, "load", "ms", series, {name: number for number, name in enumerate(series)})


if __name__ == "__main__":
    measured = trio.run(main, float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(plot(measured))
