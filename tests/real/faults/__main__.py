"""Every kind of fault on every transport: ``python -m tests.real.faults [TIMES [SEED]]``.

Each cell says how many calls were tried, and how many of them came through whole. All others ended as they must; what
did not is told below, and makes the exit status 1. Calls during which the machine stood still are not judged: they are
told apart, and where they are too many, or what was left after all calls is among that, the exit status is 3.
"""

import logging
import sys

from tests.real.faults.kinds import KINDS
from tests.real.faults.places import PLACES
from tests.real.faults.standstill import report
from tests.real.faults.trial import run, struck, told


def main(times: int = 3, seed: int = 0) -> int:
    logging.getLogger("trio_transports").setLevel(logging.ERROR)
    trials = run(times, seed)
    strikes = struck(trials)
    print(f"{'':<20}" + "".join(f"{transport:>15}" for transport in PLACES) + f"{'struck':>10}")
    for kind in KINDS:
        cells = [f"{trial.tallies[kind].whole} whole of {trial.tallies[kind].calls}" for trial in trials]
        print(f"{kind:<20}" + "".join(f"{cell:>15}" for cell in cells) + f"{strikes[kind]:>10}")
    calls = sum(tally.calls for trial in trials for tally in trial.tallies.values())
    print(f"{calls} calls, {sum(trial.beside for trial in trials)} words of the calls beside")
    mistakes, not_judged = told(trials)
    empty = [f"{trial.transport}: {nothing}" for trial in trials if (nothing := trial.has_shown_nothing)]
    return report(mistakes, not_judged, empty)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
