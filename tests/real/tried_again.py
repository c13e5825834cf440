"""A test on real sockets that failed while the machine had nothing to spare is tried once more, and named for it.

Rules
1. Only where no core was idle while it ran: a machine that others keep busy stops a process wherever it likes, and for
   as long. With a core to spare a failure is a failure.
2. Once, and only if there is time for it: both tries together have the time limit of one test.
3. What passes only then is told as a warning, with how it failed first: something was taken for granted there, be it by
   the test or by what it tests.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest
from _pytest.runner import runtestprotocol

from tests.real.starved import StarvedWarning

SPARE: Final = 0.03
"""The share of all cores' time that is idle on a machine that has something to spare."""
MOST_S: Final = 60.0
"""A test that took longer is not tried again."""
_STAT: Final = Path("/proc/stat")


def _idle_and_all() -> tuple[int, int]:
    ticks = [int(each) for each in _STAT.read_text("ascii").partition("\n")[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def watch_spare() -> Callable[[], float]:
    """Begin to watch the machine; what this returns tells how much of its cores' time has been idle."""
    if not _STAT.exists():
        return lambda: 1.0
    idle_before, all_before = _idle_and_all()

    def spare() -> float:
        idle, total = _idle_and_all()
        return (idle - idle_before) / max(1, total - all_before)

    return spare


def _failed(reports: Sequence[pytest.TestReport]) -> pytest.TestReport | None:
    return next((report for report in reports if report.failed), None)


def _tell(what: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always", StarvedWarning)  # all other warnings are errors
        warnings.warn(what, StarvedWarning, stacklevel=1)


@pytest.hookimpl
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    spare = watch_spare()
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    first = _failed(reports)
    took_s = sum(report.duration for report in reports)
    if first is not None and isinstance(item, pytest.Function) and took_s < MOST_S and spare() < SPARE:
        item._initrequest()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if _failed(reports) is None:
            _tell(f"{item.nodeid} failed on a busy machine, and passed when it was tried again: {first.longreprtext}")
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
