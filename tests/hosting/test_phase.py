"""Where a connection stands: the one timer of its reader, in virtual time."""

from math import inf
from types import SimpleNamespace
from typing import Any, Final

import pytest
import trio
import trio.testing

from trio_transports.hosting.phase import Phase

_KEEP_ALIVE_S: Final = 5.0
_HEADER_S: Final = 10.0


def new_phase() -> Phase:
    host: Any = SimpleNamespace(
        config=SimpleNamespace(keep_alive_timeout=_KEEP_ALIVE_S), limits=SimpleNamespace(header_timeout_s=_HEADER_S)
    )
    return Phase(host)


async def test_what_is_served_is_not_timed(autojump_clock: trio.testing.MockClock) -> None:
    """Between two requests it is, anew each time."""
    phase = new_phase()
    phase.begin(0.0)
    assert (phase.is_idle, phase.has_begun_head) == (True, True)
    for _ in range(2):
        await trio.sleep(1)
        phase.set_idle(False)
        assert (phase.reading.deadline, phase.is_idle, phase.has_begun_head) == (inf, False, False)
        await trio.sleep(100)
        phase.set_idle(True)
        assert phase.reading.deadline == trio.current_time() + _KEEP_ALIVE_S
        assert (phase.is_idle, phase.has_begun_head) == (True, False)


async def test_a_head_has_the_nearer_of_two_deadlines(autojump_clock: trio.testing.MockClock) -> None:
    phase = new_phase()
    phase.begin(0.0)
    assert phase.reading.deadline == _KEEP_ALIVE_S
    await trio.sleep(1)
    phase.begin(-8.0)
    assert phase.reading.deadline == _HEADER_S - 8


@pytest.mark.parametrize("has_served", [True, False])
async def test_a_server_that_ends_waits_for_nobody_idle(
    has_served: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """What is being served is served, and then the connection goes; who has asked for nothing goes at once."""
    phase = new_phase()
    phase.begin(0.0)
    if has_served:
        phase.set_idle(False)
        phase.shut_down()
        assert not phase.reading.cancel_called
        phase.set_idle(True)
    else:
        phase.shut_down()
    assert phase.reading.cancel_called


async def test_a_server_that_retires_serves_a_first_request(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody whom it has accepted goes unserved, and nobody is served twice."""
    phase = new_phase()
    phase.begin(0.0)
    phase.retire()
    assert not phase.reading.cancel_called
    phase.set_idle(True)
    assert not phase.reading.cancel_called
    phase.set_idle(False)
    assert not phase.reading.cancel_called
    phase.set_idle(True)
    assert phase.reading.cancel_called


async def test_who_was_served_goes_when_the_server_retires(autojump_clock: trio.testing.MockClock) -> None:
    """At once when it is idle, and after what it is served otherwise."""
    for is_idle in (True, False):
        phase = new_phase()
        phase.begin(0.0)
        phase.set_idle(False)
        phase.set_idle(is_idle)
        phase.retire()
        assert phase.reading.cancel_called is is_idle
        phase.set_idle(True)
        assert phase.reading.cancel_called


async def test_lingering_is_not_prolonged(autojump_clock: trio.testing.MockClock) -> None:
    """Whatever else is served or ends meanwhile."""
    phase = new_phase()
    phase.begin(0.0)
    phase.is_closing = True
    await trio.sleep(1)
    phase.linger(2)
    for is_idle in (False, True):
        phase.set_idle(is_idle)
        assert (phase.reading.deadline, phase.is_idle) == (3, is_idle)


@pytest.mark.parametrize(
    ("begins", "stands_for", "too_slow"),
    [(True, None, True), (False, None, False), (True, "is_closing", False), (True, "is_shutting_down", False)],
)
async def test_who_was_too_slow(
    begins: bool, stands_for: str | None, too_slow: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Who has begun a head and not ended it; not who was idle, nor whom this side sent away."""
    phase = new_phase()
    assert not phase.was_too_slow
    with phase.reading:
        phase.set_idle(True)
        if begins:
            phase.expect_head(trio.current_time())
        if stands_for is not None:
            setattr(phase, stands_for, True)
        await trio.sleep_forever()
    assert trio.current_time() == _KEEP_ALIVE_S
    assert phase.was_too_slow is too_slow
