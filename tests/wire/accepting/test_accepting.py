"""Accepting connections until a server leaves: with listeners that the test plays."""

import errno
import logging
import ssl
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.wire.lines import Line, lines
from trio_transports.wire.accepting.leaving import Leaving, serve_connections
from trio_transports.wire.accepting.listening import SHORTAGE_WAIT_S, accept_from, with_tls


@define(eq=False)
class Listener(trio.abc.Listener[Line]):
    """Gives what is put in, or raises it."""

    is_closed: bool = False
    _give: trio.MemorySendChannel[Line | OSError] = field(init=False)
    _take: trio.MemoryReceiveChannel[Line | OSError] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._give, self._take = trio.open_memory_channel[Line | OSError](100)

    def put(self, *what: Line | OSError) -> None:
        for each in what:
            self._give.send_nowait(each)

    async def accept(self) -> Line:
        given = await self._take.receive()
        if isinstance(given, OSError):
            raise given
        return given

    async def aclose(self) -> None:
        self.is_closed = True
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
async def test_a_shortage_is_outlived(
    number: int, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """However long it lasts it is told once, and tried again after a while; the next one is told again."""
    listener, taken = Listener(), list[Line]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_from, listener, taken.append)
        for turn in (1, 2):
            line, began_s = lines()[0], trio.current_time()
            listener.put(OSError(number, "none left"), OSError(number, "none left"), line)
            await trio.sleep(2 * SHORTAGE_WAIT_S - 0.01)
            assert line not in taken
            await trio.sleep(0.02)
            assert taken[-1] is line
            assert trio.current_time() - began_s < 3 * SHORTAGE_WAIT_S
            assert sum("no new caller can be let in for now" in record.message for record in caplog.records) == turn
        nursery.cancel_scope.cancel()
    assert listener.is_closed


async def test_what_is_no_shortage_ends_it() -> None:
    """And the listener is closed."""
    listener = Listener()
    listener.put(OSError(errno.EBADF, "not a socket"))
    with pytest.raises(OSError, match="not a socket"):
        await accept_from(listener, lambda _: pytest.fail("there is none"))
    assert listener.is_closed


def test_tls_is_spoken_where_there_is_a_context_for_it() -> None:
    """By each listener; without a context each is used as it is."""
    listeners: Any = [Listener(), Listener()]
    assert with_tls(listeners, None) == listeners
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secured = with_tls(listeners, context)
    for each, listener in zip(secured, listeners, strict=True):
        assert isinstance(each, trio.SSLListener)
        assert each.transport_listener is listener
        assert each._https_compatible  # a caller that goes without TLS's goodbye is no attack


@define(eq=False)
class Standing:
    """A server of these listeners, and what it does with each connection: it waits to be cancelled."""

    listeners: list[Listener] = field(factory=lambda: [Listener(), Listener()])
    leaving: Leaving = field(factory=Leaving)
    serving: list[Line] = field(factory=list)
    told: list[str] = field(factory=list)
    """In their order: farewells, and ends."""
    cleans_up_s: float = 0.0

    async def serve_connection(self, line: Line) -> None:
        async def farewell() -> None:
            self.told.append("told")
            await trio.lowlevel.checkpoint()

        with self.leaving.guest(farewell):
            self.serving.append(line)
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(self.cleans_up_s)
                self.told.append("ended")

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        streams: Any = self.listeners
        await serve_connections(
            streams, self.serve_connection, self.leaving, close_timeout_s=2.0, on_listening=task_status.started
        )


async def test_each_connection_has_a_task_of_its_own(autojump_clock: trio.testing.MockClock) -> None:
    """Of every listener; when the server leaves all are told, then all end, and then the server has."""
    standing = Standing(cleans_up_s=3.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(standing.serve)
        for listener in standing.listeners:
            listener.put(lines()[0], lines()[0])
        await trio.sleep(10)
        assert len(standing.serving) == standing.leaving.guests == 4
        assert standing.told == []
        standing.leaving.begin()
    assert trio.current_time() == 13
    assert standing.told == ["told"] * 4 + ["ended"] * 4
    assert all(listener.is_closed for listener in standing.listeners)


async def test_a_server_that_is_cancelled_tells_everybody(autojump_clock: trio.testing.MockClock) -> None:
    """At once, whatever keeps their connections from ending."""
    standing = Standing(cleans_up_s=3.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(standing.serve)
        standing.listeners[0].put(lines()[0])
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert standing.told == ["told", "ended"]


async def test_a_farewell_that_fails_or_lasts_keeps_nobody_from_theirs(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One that fails is logged; one that lasts is given up, and not logged."""
    caplog.set_level(logging.DEBUG)
    leaving, told = Leaving(), list[str]()

    async def fails() -> None:
        raise RuntimeError("no line")

    async def lasts() -> None:
        await trio.sleep_forever()

    async def goes_well() -> None:
        await trio.sleep(1.5)
        told.append("goodbye")

    with leaving.guest(fails), leaving.guest(lasts), leaving.guest(goes_well):
        leaving.begin()
        await leaving.serve(trio.sleep_forever, close_timeout_s=2.0)
    assert trio.current_time() == 2
    assert told == ["goodbye"]
    assert [record.getMessage() for record in caplog.records] == [
        "a caller could not be told that the server is leaving"
    ]
    assert caplog.records[0].exc_info is not None
