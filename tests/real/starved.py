"""A process that had no core for a good part of a test was late by its machine, and says nothing of its own lateness.

Such a test does not fail, and does not pass in silence either: it warns.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Final

import pytest
import trio

from benchmarks.load.clocks import waited_ns

STARVED: Final = 0.1
"""The share of the time, without a core, from which on nothing is shown."""


class StarvedWarning(UserWarning):
    """A test has shown nothing, for want of a core."""


def watch_core(pid: int | None = None) -> Callable[[], float]:
    """Begin to watch a process, this one by default; what this returns tells how much of the time it had no core."""
    watched = os.getpid() if pid is None else pid
    began_s, waited_before_ns = trio.current_time(), waited_ns(watched)
    return lambda: (waited_ns(watched) - waited_before_ns) / 1e9 / (trio.current_time() - began_s)


def fail_or_warn(why: str, waited: Sequence[float]) -> None:
    """Fail with ``why``, unless in each try there was no core for a good part of the time: then warn of that."""
    shares = ", ".join(f"{share:.2f}" for share in waited)
    why = f"{why}, where for these shares of the time there was no core: {shares}"
    if min(waited) < STARVED:
        pytest.fail(why)
    warn(why)


def warn(why: str) -> None:
    """Say that this test has shown nothing, and why."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "this test").removesuffix(" (call)")
    with warnings.catch_warnings():
        warnings.simplefilter("always", StarvedWarning)  # the one warning that is no error
        warnings.warn(f"{test} has shown nothing: {why}", StarvedWarning, stacklevel=3)
