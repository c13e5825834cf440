"""Which handlers of signals stand while servers run, and after, and what signals that come together do."""

import logging
import signal
from functools import partial

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_transports.errors import LocalProtocolError
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


async def test_a_server_that_begins_as_another_leaves_keeps_its_handlers(autojump_clock: MockClock) -> None:
    """Also where that is in the very turn in which the other was told. Twenty times, as turns are in any order."""
    for _ in range(20):
        left = trio.Event()
        with told_by_signals(left.set):
            signal.raise_signal(signal.SIGTERM)
            while not left.is_set():  # to wait for it would take a turn more
                await trio.lowlevel.checkpoint()
        with told_by_signals(lambda: pytest.fail("nobody asked")):
            ours = handlers()
            await trio.sleep(2 * TWICE_S)
            assert handlers() == ours


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_tells_every_server(
    number: signal.Signals, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, outside of the handler. Twice."""
    caplog.set_level(logging.INFO, "trio_transports.server")
    before = handlers()
    for turn in (1, 2):
        told: list[str] = []
        with told_by_signals(partial(told.append, "one")), told_by_signals(partial(told.append, "another")):
            signal.raise_signal(number)
            assert told == []
            await trio.testing.wait_all_tasks_blocked()
            assert told == ["one", "another"]
        assert handlers() == before
        await trio.testing.wait_all_tasks_blocked()
        assert sum(f"{number.name}: the server leaves" in record.message for record in caplog.records) == turn


async def test_a_server_that_has_ended_is_told_nothing() -> None:
    """Also where the signal came before, and it ended meanwhile."""
    told: list[str] = []
    with told_by_signals(lambda: told.append("stays")):
        with told_by_signals(lambda: told.append("ends")):
            signal.raise_signal(signal.SIGTERM)
        await trio.testing.wait_all_tasks_blocked()
    await trio.testing.wait_all_tasks_blocked()
    assert told == ["stays"]


async def test_elsewhere_than_in_the_main_thread_no_signal_is_heard() -> None:
    """That is a mistake, and told so; turned off it is none."""

    async def serve(is_on: bool) -> None:
        await trio.lowlevel.checkpoint()
        with told_by_signals(lambda: None, is_on=is_on):
            pass

    before = handlers()
    await trio.to_thread.run_sync(trio.run, serve, False)
    with pytest.raises(LocalProtocolError, match="signals=True works only where trio runs in the main thread"):
        await trio.to_thread.run_sync(trio.run, serve, True)
    assert handlers() == before
