"""Where one connection's failures stop, and what is said of them."""

import logging
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.errors import ConnectionClosed, HandshakeRejected
from trio_transports.hosting.boundary import boundary

OWN_END = ConnectionClosed(1001)
REFUSED = HandshakeRejected(403)
FAULT = ValueError("mine")


@define(eq=False)
class Log:
    """A logger of hypercorn's kind."""

    fails: bool = False
    said: list[tuple[str, str, object]] = field(factory=list)

    async def info(self, message: str, *args: object) -> None:
        await self._say("info", message, args, args[-1])

    async def error(self, message: str, *args: object, exc_info: object) -> None:
        await self._say("error", message, args, exc_info)

    async def _say(self, level: str, message: str, args: tuple[object, ...], about: object) -> None:
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise RuntimeError("no room on the disk")
        self.said.append((level, message % args, about))


@define(eq=False)
class Bounded:
    log: Log = field(factory=Log)
    is_over: bool = True
    interrupts: int = 0

    async def run(self, failure: BaseException | None) -> None:
        async def interrupted() -> None:
            await trio.lowlevel.checkpoint()
            self.interrupts += 1

        log: Any = self.log
        async with boundary(log, "it failed (%s)", "here", on_interrupt=interrupted, is_over=lambda: self.is_over):
            await trio.lowlevel.checkpoint()
            if failure is not None:
                raise failure


@pytest.mark.parametrize("failure", [FAULT, SystemExit(3), BaseExceptionGroup("", [FAULT, SystemExit(3)])])
@pytest.mark.parametrize("is_over", [True, False])
async def test_a_failure_is_said_once(failure: BaseException, is_over: bool) -> None:
    """With its traceback, as a fault, and nothing of it comes through; where nothing fails nothing is said."""
    bounded = Bounded(is_over=is_over)
    await bounded.run(None)
    assert bounded.log.said == []
    await bounded.run(failure)
    assert [(level, said) for level, said, _ in bounded.log.said] == [("error", "it failed (here)")]
    assert bounded.interrupts == 0


@pytest.mark.parametrize("failure", [OWN_END, REFUSED, ExceptionGroup("", [OWN_END, ExceptionGroup("", [REFUSED])])])
async def test_how_a_call_ends_is_said_in_one_line(failure: Exception) -> None:
    """With how it was; where it is another call's end it is a fault like any other."""
    bounded = Bounded()
    await bounded.run(failure)
    assert [(level, said) for level, said, _ in bounded.log.said] == [("info", f"it failed (here): {failure}")]
    other = Bounded(is_over=False)
    await other.run(failure)
    assert [(level, said) for level, said, _ in other.log.said] == [("error", "it failed (here)")]


async def test_of_several_failures_the_faults_are_said() -> None:
    bounded = Bounded()
    await bounded.run(ExceptionGroup("several", [OWN_END, FAULT]))
    ((level, _, about),) = bounded.log.said
    assert level == "error"
    assert isinstance(about, ExceptionGroup)
    assert about.exceptions == (FAULT,)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), BaseExceptionGroup("", [FAULT, KeyboardInterrupt()])])
async def test_ctrl_c_stops_the_server(interrupt: BaseException) -> None:
    """That is no failure, and not said."""
    bounded = Bounded()
    for turn in (1, 2):
        await bounded.run(interrupt)
        assert (bounded.interrupts, bounded.log.said) == (turn, [])


@pytest.mark.parametrize("has_failed", [False, True])
async def test_a_cancellation_passes(has_failed: bool, autojump_clock: trio.testing.MockClock) -> None:
    """Alone or beside a failure, which is said; the scope that was cancelled ends without an error."""
    bounded = Bounded()
    said: list[type[BaseException]] = []

    async def fail_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            if has_failed:
                raise FAULT

    with trio.move_on_after(1) as scope:
        try:
            log: Any = bounded.log
            async with (
                boundary(log, "it failed (%s)", "here", on_interrupt=trio.lowlevel.checkpoint),
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(fail_when_cancelled)
                nursery.start_soon(trio.sleep_forever)
        except BaseException as exc:
            said.append(type(exc))
            raise
    assert scope.cancelled_caught
    assert said == [trio.Cancelled]


@pytest.mark.parametrize("failure", [OWN_END, FAULT])
async def test_a_logger_that_fails_ends_nothing(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It is the library's own that says so, with what was to be said."""
    await Bounded(Log(fails=True)).run(failure)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("trio_transports.hosting", logging.ERROR)
    assert record.getMessage() == "the server's own logger failed to say: it failed (here)"
    assert record.exc_info is not None
