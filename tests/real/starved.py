"""A process that had no core for a good part of a test was late by its machine, and says nothing of its own lateness.

Such a test does not fail, and does not pass in silence either: it warns.

A machine may have no core either, and not know of it: its host takes one away for ten or twenty milliseconds, ten times
in a second, and what ran then seems to have worked all the while. That shows in equal pieces of work, a few of which
take ten times as long as the others.
"""

import os
import time
import warnings
from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

import pytest
import trio

from benchmarks.load.clocks import waited_ns

STARVED: Final = 0.1
"""The share of the time, without a core, from which on nothing is shown."""


DRAWN_OUT: Final = 0.04
"""The share of a machine's work that was drawn out, from which on it shows nothing."""
ROUNDS: Final = 10
PIECES: Final = 500
MUCH_LONGER: Final = 4


class StarvedWarning(UserWarning):
    """A test has shown nothing, for want of a core."""


def watch_core(pid: int | None = None) -> Callable[[], float]:
    """Begin to watch a process, this one by default; what this returns tells how much of the time it had no core."""
    watched = os.getpid() if pid is None else pid
    began_s, waited_before_ns = trio.current_time(), waited_ns(watched)
    return lambda: (waited_ns(watched) - waited_before_ns) / 1e9 / (trio.current_time() - began_s)


def drawn_out(clock: Callable[[], float] = time.thread_time) -> float:
    """The share of equal work that took much longer than the rest, in the worst of some thirds of a second.

    A host takes a core away for a while, and for a while it does not. One bad third is enough.
    """
    worst = 0.0
    for _ in range(ROUNDS):
        worst = max(worst, _drawn_out_of_a_round(clock))
        if worst >= DRAWN_OUT:
            break
    return worst


def _drawn_out_of_a_round(clock: Callable[[], float]) -> float:
    took_s = []
    for _ in range(PIECES):
        began_s = clock()
        sum(range(40_000))
        took_s.append(clock() - began_s)
    most_s = MUCH_LONGER * median(took_s)
    return sum(piece_s for piece_s in took_s if piece_s > most_s) / sum(took_s)


def fail_or_warn(why: str, waited: Sequence[float]) -> None:
    """Fail with ``why``, unless in each try there was no core for a good part of the time: then warn of that.

    Also where the machine itself has none now.
    """
    shares = ", ".join(f"{share:.2f}" for share in waited)
    why = f"{why}, where for these shares of the time there was no core: {shares}"
    if min(waited) < STARVED:
        share = drawn_out()
        why = f"{why}; and {share:.3f} of equal work was drawn out by the machine"
        if share < DRAWN_OUT:
            pytest.fail(why)
    warn(why)


def warn(why: str) -> None:
    """Say that this test has shown nothing, and why."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "this test").removesuffix(" (call)")
    with warnings.catch_warnings():
        warnings.simplefilter("always", StarvedWarning)  # the one warning that is no error
        warnings.warn(f"{test} has shown nothing: {why}", StarvedWarning, stacklevel=3)
