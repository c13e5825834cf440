"""Which handlers of signals stand while servers run, and after, and what signals that come together do."""

import signal

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_transports.wire.accepting import signals
from trio_transports.wire.accepting.signals import SIGNALS, TWICE_S, told_by_signals


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


async def test_what_was_there_before_is_back_when_the_last_server_has_ended() -> None:
    """Two servers share the handlers of the first; whichever ends first. Twice."""
    before = handlers()
    for _ in range(2):
        with told_by_signals(lambda: None):
            ours = handlers()
            assert ours != before
            with told_by_signals(lambda: None):
                assert handlers() == ours
            assert handlers() == ours
        assert handlers() == before


async def test_off_is_off() -> None:
    before = handlers()
    with told_by_signals(lambda: pytest.fail("nobody asked"), is_on=False):
        assert handlers() == before


async def test_signals_that_come_together_are_one(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    """As a terminal and a process manager tell it, each for itself; from then on the system deals with both. Twice."""
    now_s = 100.0
    monkeypatch.setattr(signals, "monotonic", lambda: now_s)
    before = handlers()
    for _ in range(2):
        told: list[str] = []
        with told_by_signals(lambda: told.append("leave")):  # noqa: B023
            ours = handlers()
            signal.raise_signal(signal.SIGINT)
            assert handlers() == ours
            now_s += TWICE_S
            signal.raise_signal(signal.SIGTERM)
            await trio.testing.wait_all_tasks_blocked()
            assert told == ["leave"]
            assert handlers() == ours
            await trio.sleep(TWICE_S + 0.01)
            assert handlers() == [signal.SIG_DFL, signal.SIG_DFL]
        assert handlers() == before
        await trio.sleep(1)
        assert handlers() == before


async def test_what_one_server_was_told_is_not_the_next_ones(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A server that has left at once, and another that begins before the time of the first signal is over."""
    monkeypatch.setattr(signals, "monotonic", lambda: 100.0)
    told: list[str] = []
    living = trio.lowlevel.current_statistics().tasks_living
    with told_by_signals(lambda: told.append("first")):
        signal.raise_signal(signal.SIGTERM)
        await trio.testing.wait_all_tasks_blocked()
    monkeypatch.setattr(signals, "monotonic", lambda: 100.1)
    with told_by_signals(lambda: told.append("second")):
        ours = handlers()
        await trio.sleep(1)
        assert handlers() == ours
        signal.raise_signal(signal.SIGTERM)
        await trio.testing.wait_all_tasks_blocked()
        assert told == ["first", "second"]
    await trio.testing.wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == living
