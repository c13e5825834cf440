"""Messages that go past ASGI, where a guarding server offers that: the wire's side, with the way played by the test."""

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.wire.asgi_server import Guard, Server, closed_by
from trio_transports.errors import ConnectionClosed, Ending
from trio_transports.wire.asgi import EXTENSION, AsgiWire, asgi_wire


@define(eq=False)
class Way:
    """Gives these messages; then it says that ``receive`` has something else to tell."""

    messages: deque[str | bytes] = field(factory=deque)
    written: list[str | bytes] = field(factory=list)
    takes: bool | None = True
    is_broken: bool = False
    before_each: Callable[[], object] = lambda: None

    async def next_message(self) -> str | bytes | None:
        await trio.lowlevel.checkpoint()
        self.before_each()
        return self.messages.popleft() if self.messages else None

    async def receive_each(self, take: Callable[[str | bytes], bool]) -> bool:
        await trio.lowlevel.checkpoint()
        while self.messages:
            self.before_each()
            if take(self.messages.popleft()):
                return True
        return False

    def send_now(self, message: str | bytes) -> bool | None:
        self.written.append(message)
        return self.takes

    async def flushed(self) -> bool:
        await trio.lowlevel.checkpoint()
        return not self.is_broken


@define(eq=False)
class Offering(Guard):
    """A server that offers a way, for the calls that are its own."""

    way: Way = field(factory=Way)
    asked: list[object] = field(factory=list)

    def short_way(self, receive: object, send: object) -> Any:  # noqa: ANN401
        self.asked.append((receive, send))
        return self.way


def made(*, is_accepted: bool = True) -> tuple[AsgiWire, Offering, Server]:
    server = Server()
    guard = Offering(server, is_accepted=is_accepted)
    server.scope["extensions"] = {EXTENSION: {"connection": guard}}
    return asgi_wire((server.scope, server.receive, server.send)), guard, server


async def test_it_is_found_once_the_connection_is_open() -> None:
    """At once where it is accepted already, and not before it is; with the server's own calls."""
    _, guard, server = made()
    assert guard.asked == [(server.receive, server.send)]
    wire, guard, server = made(is_accepted=False)
    assert guard.asked == []
    assert wire.send_now("not yet") is False
    await wire.accept()
    assert guard.asked == [(server.receive, server.send)]
    assert wire.send_now("now") is True


async def test_messages_come_by_it_and_all_else_as_events() -> None:
    """The end too; what arrived before that is received first."""
    wire, guard, server = made()
    await server.receive()
    guard.way.messages.extend(["text", b"bytes", ""])
    assert [await wire.receive() for _ in range(3)] == ["text", b"bytes", ""]
    server.message("as an event")
    assert await wire.receive() == "as an event"
    guard.way.messages.append("last words")
    guard.end(Ending(4000, "bye", "remote"))
    assert await wire.receive() == "last words"
    closed = await closed_by(wire.receive)
    assert (closed.code, closed.reason) == (4000, "bye")


async def test_each_is_handed_over_whichever_way_it_comes() -> None:
    """In order, until the one that is wanted; what is behind it is there for the next call."""
    wire, guard, server = made()
    await server.receive()
    guard.way.messages.extend(["a", "b"])
    server.message("c")
    server.message("wanted")
    got: list[str | bytes] = []

    def take(message: str | bytes) -> bool:
        got.append(message)
        return message == "wanted"

    await wire.receive_each(take)
    assert got == ["a", "b", "c", "wanted"]
    guard.way.messages.extend(["wanted", "later"])
    await wire.receive_each(take)
    assert await wire.receive() == "later"


async def test_after_its_end_nothing_comes_by_it() -> None:
    """What it gives is dropped, from the moment on at which this side ended it."""
    for each in (False, True):
        wire, guard, server = made()
        await server.receive()
        guard.way.messages.extend(["a", "b", "c"])
        got: list[str | bytes] = []

        def take(message: str | bytes, got: list[str | bytes] = got) -> bool:
            got.append(message)
            return False

        guard.way.before_each = lambda wire=wire, way=guard.way: len(way.messages) == 2 and wire.abort()  # type: ignore[misc]
        if each:
            closed = await closed_by(lambda wire=wire, take=take: wire.receive_each(take))  # type: ignore[misc]
        else:
            got.append(await wire.receive())
            closed = await closed_by(wire.receive)
        assert (got, closed.code, guard.aborted) == (["a"], 1006, 1)


async def test_while_it_says_goodbye_events_alone_are_read(autojump_clock: trio.testing.MockClock) -> None:
    """Messages are dropped until the peer has answered."""
    wire, guard, server = made()
    await server.receive()
    guard.way.messages.append("by the way")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def answer() -> None:
            await trio.sleep(3)
            server.message("late")
            guard.end(Ending(4001, "", "remote"))

        await wire.aclose(4001, "enough")
    assert trio.current_time() == 3
    assert list(guard.way.messages) == ["by the way"]
    assert (await closed_by(wire.receive)).initiator == "local"


@pytest.mark.parametrize("takes", [True, False, None])
def test_what_it_takes_is_told(takes: bool | None) -> None:
    wire, guard, _ = made()
    guard.way.takes = takes
    assert wire.send_now("text") is takes
    assert guard.way.written == ["text"]


@pytest.mark.parametrize(
    ("ending", "code"), [(None, 1006), (Ending(4000, "bye", "remote"), 4000)], ids=["lost", "by the peer"]
)
async def test_a_flush_that_finds_it_broken_tells_the_end(ending: Ending | None, code: int) -> None:
    """As far as the server knows it; the connection is aborted."""
    wire, guard, _ = made()
    await wire.flushed()
    guard.way.is_broken = True
    guard.ending = ending
    for _ in range(2):
        closed = await closed_by(wire.flushed)
        assert (closed.code, guard.aborted) == (code, 1)
    with pytest.raises(ConnectionClosed):
        wire.send_now("late")


class Slow(Guard):
    """Tells no end."""

    def end(self, _ending: Ending) -> None: ...


async def test_an_abort_wakes_whoever_waits_for_another_to_read(autojump_clock: trio.testing.MockClock) -> None:
    """Though the server is slow to let go of that one."""
    server = Server()
    guard = Slow(server, is_accepted=True)
    server.scope["extensions"] = {EXTENSION: {"connection": guard}}
    wire = asgi_wire((server.scope, server.receive, server.send))
    await server.receive()
    told_s: list[float] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            with pytest.raises(ConnectionClosed):
                await wire.receive()

        await trio.testing.wait_all_tasks_blocked()

        @nursery.start_soon
        async def close() -> None:
            await wire.aclose()
            told_s.append(trio.current_time())

        await trio.sleep(1)
        wire.abort()
        await trio.sleep(1)
        assert told_s == [1]
        server.disconnect()


async def test_after_its_end_receiving_lets_others_have_their_turn() -> None:
    wire, *_ = made()
    wire.abort()
    for _ in range(2):
        with trio.testing.assert_checkpoints():
            await closed_by(wire.receive)
