"""A wire from what somebody else's server hands over, which the test plays."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio
import trio.testing
import trio_websocket
from attrs import define, field

from tests.wire.asgi_server import Server, put_away
from tests.wire.lines import ADDRESS, REQUEST, Caller, Line, lines
from trio_transports.errors import ConnectionClosed, Ending, LocalProtocolError
from trio_transports.testing import memory_wire_pair
from trio_transports.wire import Wire
from trio_transports.wire.accepting.handed import Handed, handed_wire
from trio_transports.wire.asgi import EXTENSION
from trio_transports.wire.rfc6455 import Opcode
from trio_transports.wire.settings import WireSettings


@define(eq=False)
class Ours:
    """A connection of this library's server: it keeps the peer alive, and tells of its end."""

    server: Server
    ending: Ending | None = None
    is_accepted: bool = False
    aborted: int = 0
    kept_alive: list[tuple[float, float]] = field(factory=list)
    told_on_shutdown: list[Callable[[], Awaitable[object]]] = field(factory=list)

    def abort(self) -> None:
        self.aborted += 1
        self.ending = self.ending or Ending(1006, "aborted", "local")

    def on_shutdown(self, callback: Callable[[], Awaitable[object]]) -> Callable[[], None]:
        self.told_on_shutdown.append(callback)
        return lambda: self.told_on_shutdown.remove(callback)

    def limit_messages(self, max_bytes: int) -> None: ...

    def short_way(self, _receive: object, _send: object) -> None: ...

    def keep_alive(self, interval_s: float, timeout_s: float) -> None:
        self.kept_alive.append((interval_s, timeout_s))


async def nothing() -> None: ...


def handed(
    websocket: Handed, settings: WireSettings | None = None, subprotocols: tuple[str, ...] = ()
) -> AbstractAsyncContextManager[Wire]:
    return handed_wire(
        websocket,
        subprotocols=subprotocols,
        settings=settings or WireSettings(),
        connect_timeout_s=5.0,
        on_shutdown=nothing,
    )


@pytest.mark.parametrize(("interval_s", "kept_alive"), [(7.0, [(7.0, 3.0)]), (None, [])])
async def test_a_server_of_ours_keeps_the_peer_alive(
    interval_s: float | None, kept_alive: list[tuple[float, float]]
) -> None:
    """If that is wanted, and tells when it shuts down, for as long as the wire is in use; twice."""
    for _ in range(2):
        server = Server()
        ours = Ours(server)
        server.scope["extensions"] = {EXTENSION: {"connection": ours}}
        settings = WireSettings(ping_interval_s=interval_s, ping_timeout_s=3.0)

        async def use(server: Server = server, ours: Ours = ours, settings: WireSettings = settings) -> None:
            async with handed((server.scope, server.receive, server.send), settings):
                assert ours.told_on_shutdown == [nothing]
                assert ours.kept_alive == kept_alive
                assert ours.aborted == 0
                raise RuntimeError("the body fails")

        with pytest.raises(RuntimeError, match="the body fails"):
            await use()
        assert ours.told_on_shutdown == []
        assert ours.aborted == 1
        await put_away(server)


async def test_another_server_has_its_own_ways() -> None:
    """It is asked for nothing but the WebSocket, which is accepted and lasts as long as the body."""
    server = Server()
    async with handed((server.scope, server.receive, server.send)) as wire:
        assert server.sent_kinds == ["accept"]
        await wire.send("text")
    assert server.sent_kinds[:2] == ["accept", "send"]
    await put_away(server)


@pytest.mark.parametrize(("ours", "chosen"), [((), None), (("c",), None), (("c", "b", "a"), "b"), (("a",), "a")])
async def test_the_first_subprotocol_of_ours_that_was_offered(ours: tuple[str, ...], chosen: str | None) -> None:
    server = Server()
    server.scope["subprotocols"] = ["a", "b"]
    async with handed((server.scope, server.receive, server.send), subprotocols=ours):
        assert server.sent[0].get("subprotocol") == chosen
    await put_away(server)


async def test_accepting_has_a_time_limit(autojump_clock: trio.testing.MockClock) -> None:
    server = Server()
    await server.receive()  # and it says nothing more
    with pytest.raises(ConnectionClosed, match="longer than connect_timeout"):
        async with handed((server.scope, server.receive, server.send)):
            pytest.fail("it must not be in use")
    assert trio.current_time() == 5
    await put_away(server)


async def test_a_wire_is_used_as_it_is() -> None:
    """It is left open: whoever made it ends it."""
    near, far = memory_wire_pair()
    async with handed(near) as wire:
        assert wire is near
    await near.send("text")
    assert await far.receive() == "text"


@pytest.mark.parametrize("given", [None, 7, "ws://host/"])
async def test_what_is_no_websocket_is_refused(given: object) -> None:
    with pytest.raises(LocalProtocolError, match="is not a WebSocket that is known here"):
        async with handed(given):  # type: ignore[arg-type]
            pytest.fail("it must not be in use")


@define(eq=False)
class Theirs:
    """Somebody else's server of trio-websocket, and a caller that asks it for a WebSocket."""

    request: trio_websocket.WebSocketRequest
    caller: Caller
    line: Line

    async def accept(self) -> trio_websocket.WebSocketConnection:
        connection = await self.request.accept()
        await self.caller.hear_answer()
        return connection


@asynccontextmanager
async def theirs(path: str = "/call?token=t") -> AsyncIterator[Theirs]:
    near, far = lines()
    async with trio.open_nursery() as nursery:
        await near.send_all(REQUEST.replace(b"GET / HTTP/1.1", f"GET {path} HTTP/1.1\r\nX-Token: t".encode()))
        yield Theirs(await trio_websocket.wrap_server_stream(nursery, far), Caller(near), far)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("path", "shown", "query"), [("/call?token=t", "/call", "token=t"), ("/call", "/call", ""), ("/?a?b", "/", "a?b")]
)
async def test_a_connection_of_trio_websocket_is_used(path: str, shown: str, query: str) -> None:
    """Who called is known of it; after it the line is closed, whatever the body ended of."""
    async with theirs(path) as given:
        connection = await given.accept()

        async def use() -> None:
            async with handed(connection) as wire:
                peer = wire.peer
                assert (peer.address, peer.port, peer.path, peer.query_string) == (*ADDRESS, shown, query)
                await given.caller.say(Opcode.TEXT, b"heard")
                assert await wire.receive() == "heard"
                await wire.send(b"said")
                assert await given.caller.next() == [b"said"]
                assert not given.line.is_closed
                raise RuntimeError("the body fails")

        with pytest.raises(RuntimeError, match="the body fails"):
            await use()
        assert given.line.is_closed


async def test_a_request_of_trio_websocket_is_accepted() -> None:
    """And its headers are known: they may say who calls."""
    async with theirs() as given, handed(given.request) as wire:
        assert wire.peer.header("X-Token") == "t"
        await given.caller.hear_answer()
        await wire.send("said")
        assert await given.caller.next() == ["said"]


@pytest.mark.parametrize("interval_s", [7.0, None])
async def test_its_peer_is_kept_alive(interval_s: float | None, autojump_clock: trio.testing.MockClock) -> None:
    """If that is wanted: one that answers no ping is let go."""
    settings = WireSettings(ping_interval_s=interval_s, ping_timeout_s=3.0)
    async with theirs() as given, handed(await given.accept(), settings) as wire:
        with trio.move_on_after(100) as limit:
            with pytest.raises(ConnectionClosed, match="no pong within 3 s"):
                await wire.receive()
            assert trio.current_time() == 10
        assert limit.cancelled_caught is (interval_s is None)


async def test_more_than_a_handshake_may_arrive() -> None:
    """What its server has read is not counted as one."""
    async with theirs() as given, handed(await given.accept()) as wire:
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(given.caller.say, Opcode.BINARY, bytes(60_000))
                assert await wire.receive() == bytes(60_000)
