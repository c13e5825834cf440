"""The ASGI wire on its own, with the server played by the test."""

from collections.abc import Callable
from enum import Enum
from typing import Any, final

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.errors import ConnectionClosed, Ending, LocalProtocolError
from trio_transports.wire import Peer
from trio_transports.wire.asgi import EXTENSION, AsgiWire, asgi_wire
from trio_transports.wire.refusal import Refusal


@final
@define(eq=False)
class Server:
    """An ASGI server's two channels. A ``send`` can be made to hang, and not to be cancelled, as hypercorn's is."""

    scope: dict[str, Any] = field(factory=lambda: {"type": "websocket"})
    sent: list[dict[str, Any]] = field(factory=list, init=False)
    fails_with: Exception | None = field(default=None, init=False)
    _stalled: trio.Event | None = field(default=None, init=False)
    _give: trio.MemorySendChannel[dict[str, Any]] = field(init=False)
    _take: trio.MemoryReceiveChannel[dict[str, Any]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._give, self._take = trio.open_memory_channel[dict[str, Any]](1000)
        self.event("websocket.connect")

    def event(self, kind: str, **fields: object) -> None:
        self._give.send_nowait({"type": kind, **fields})

    def message(self, message: str | bytes) -> None:
        which = "text" if isinstance(message, str) else "bytes"
        self.event("websocket.receive", **{which: message})

    def disconnect(self, code: int = 1006, **fields: object) -> None:
        self.event("websocket.disconnect", code=code, **fields)

    def stall(self) -> None:
        self._stalled = trio.Event()

    def resume(self) -> None:
        assert self._stalled is not None
        self._stalled.set()
        self._stalled = None

    async def receive(self) -> dict[str, Any]:
        return await self._take.receive()

    async def send(self, event: dict[str, Any]) -> None:
        if self._stalled is not None:
            with trio.CancelScope(shield=True):
                await self._stalled.wait()
        await trio.lowlevel.checkpoint()
        if self.fails_with is not None:
            raise self.fails_with
        self.sent.append(event)

    def wire(self, **settings: Any) -> AsgiWire:  # noqa: ANN401
        return asgi_wire((self.scope, self.receive, self.send), **settings)

    @property
    def sent_kinds(self) -> list[str]:
        return [event["type"].removeprefix("websocket.") for event in self.sent]


@final
@define(eq=False)
class Guard:
    """What a guarding server puts into the scope."""

    server: Server
    ending: Ending | None = None
    is_accepted: bool = False
    aborted: int = 0
    limit_bytes: int = 0

    def abort(self) -> None:
        self.aborted += 1
        self.end(Ending(1006, "aborted", "local"))

    def end(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
            self.server.disconnect(ending.code, reason=ending.reason)

    def on_shutdown(self, _callback: object) -> Callable[[], None]:
        return lambda: None

    def limit_messages(self, max_bytes: int) -> None:
        self.limit_bytes = max_bytes

    def short_way(self, _receive: object, _send: object) -> None:
        """There is none: messages go ASGI's way."""

    def keep_alive(self, interval_s: float, timeout_s: float) -> None:
        raise AssertionError("the wire does not ask for keepalive by itself")


async def accepted(server: Server, **settings: Any) -> AsgiWire:  # noqa: ANN401
    wire = server.wire(**settings)
    await wire.accept()
    return wire


async def put_away(server: Server) -> None:
    """Let what a wire has left behind come to its end."""
    server.disconnect()
    await trio.testing.wait_all_tasks_blocked()


async def closed_by(action: Callable[[], Any]) -> ConnectionClosed:
    with pytest.raises(ConnectionClosed) as closed:
        await action()
    return closed.value


async def test_the_peer_comes_from_the_scope() -> None:
    """Address, path, query and headers are those of the scope, and the subprotocol is what was agreed on."""
    server = Server(
        {
            "type": "websocket",
            "client": ["10.0.0.7", 4711],
            "path": "/call/ä",
            "query_string": b"token=%20a&b",
            "headers": [(b"x-name", b"J\xf6rg")],
            "subprotocols": ["v1", "v2"],
        }
    )
    wire = server.wire()
    await wire.accept("v2")
    assert wire.peer == Peer(
        address="10.0.0.7",
        port=4711,
        path="/call/ä",
        query_string="token=%20a&b",
        headers=(("x-name", "Jörg"),),
        subprotocol="v2",
    )
    assert server.sent == [{"type": "websocket.accept", "subprotocol": "v2", "headers": []}]
    wire.abort()
    await put_away(server)


async def test_a_subprotocol_must_have_been_offered() -> None:
    """Accepting with a subprotocol that the client did not offer is the calling code's mistake, and sends nothing."""
    server = Server({"type": "websocket", "subprotocols": ["v1"]})
    with pytest.raises(LocalProtocolError, match="'v9' was not offered by the client; it offered v1"):
        await server.wire().accept("v9")
    assert server.sent == []


async def test_a_wrong_scope_is_refused() -> None:
    """An HTTP request's scope cannot be made into a wire."""
    with pytest.raises(LocalProtocolError, match="not one of type 'http'"):
        Server({"type": "http"}).wire()


async def test_a_caller_that_left_cannot_be_accepted() -> None:
    """A disconnect in place of the connect is a ConnectionClosed, from accept and ever after."""
    server = Server()
    wire = server.wire()
    assert (await server.receive())["type"] == "websocket.connect"
    server.disconnect()
    assert (await closed_by(wire.accept)).code == 1006
    await closed_by(wire.receive)
    await closed_by(lambda: wire.send("late"))


@pytest.mark.parametrize("extended", [True, False])
async def test_refusing(*, extended: bool) -> None:
    """A refusal is an HTTP answer where the server offers that, and a close before accepting where not."""
    server = Server({"type": "websocket", "extensions": {"websocket.http.response": {}} if extended else {}})
    await server.wire().refuse(Refusal(status=401, body="who?", headers=(("WWW-Authenticate", "Bearer"),)))
    if extended:
        assert server.sent == [
            {
                "type": "websocket.http.response.start",
                "status": 401,
                "headers": [(b"www-authenticate", b"Bearer"), (b"content-length", b"4")],
            },
            {"type": "websocket.http.response.body", "body": b"who?", "more_body": False},
        ]
    else:
        assert server.sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


async def test_accepting_twice_is_a_mistake() -> None:
    """A wire that is open can be neither accepted nor refused."""
    server = Server()
    wire = await accepted(server)
    with pytest.raises(LocalProtocolError, match="already accepted"):
        await wire.accept()
    with pytest.raises(LocalProtocolError, match="already accepted"):
        await wire.refuse(Refusal(status=403))
    wire.abort()
    await put_away(server)


async def test_messages_are_text_or_bytes() -> None:
    """Either kind passes both ways, also from servers that fill in both fields, or neither for an empty one."""
    server = Server()
    wire = await accepted(server)
    server.event("websocket.receive", text=None, bytes=b"bytes")
    server.event("websocket.receive", text="text", bytes=None)
    server.event("websocket.receive", text="")
    server.event("websocket.receive", bytes=b"")
    assert [await wire.receive() for _ in range(4)] == [b"bytes", "text", "", b""]
    await wire.send("text")
    await wire.send(memoryview(b"a view"))
    assert server.sent[1:] == [
        {"type": "websocket.send", "text": "text"},
        {"type": "websocket.send", "bytes": b"a view"},
    ]
    server.disconnect()
    await closed_by(wire.receive)


@pytest.mark.parametrize(
    ("event", "code", "initiator"),
    [
        ({"code": 4000, "reason": "bye"}, 4000, "remote"),
        ({"code": 1006}, 1006, "error"),
        ({"code": 1000, "reason": None}, 1000, "remote"),
        ({}, 1005, "remote"),
    ],
)
async def test_how_it_ended_is_what_the_server_says(event: dict[str, Any], code: int, initiator: str) -> None:
    """The code is the server's, never an invented one; 1006 is a lost connection, others are the peer's own."""
    server = Server()
    wire = await accepted(server)
    server.event("websocket.disconnect", **event)
    for _ in range(2):
        closed = await closed_by(wire.receive)
        assert (closed.code, closed.initiator) == (code, initiator)
    await wire.aclose()
    assert server.sent_kinds == ["accept"]


@pytest.mark.parametrize(
    ("message", "fits"),
    [
        ("x" * 100, True),
        ("x" * 101, False),
        ("ä" * 50, True),
        ("ä" * 51, False),
        (b"x" * 100, True),
        (b"x" * 101, False),
    ],
)
async def test_the_limit_is_in_bytes(message: str | bytes, *, fits: bool) -> None:
    """A message of exactly max_message_bytes passes; one byte more is answered with 1009, and ends the wire."""
    server = Server()
    wire = await accepted(server, max_message_bytes=100)
    server.message(message)
    server.disconnect()
    if fits:
        assert await wire.receive() == message
        await closed_by(wire.receive)
    else:
        closed = await closed_by(wire.receive)
        assert (closed.code, closed.initiator) == (1009, "local")
        assert (server.sent[-1]["type"], server.sent[-1]["code"]) == ("websocket.close", 1009)


async def test_closing_waits_for_the_answer(autojump_clock: trio.testing.MockClock) -> None:
    """A close returns when the peer has answered; what comes before that is dropped, and a second call does nothing."""
    server = Server()
    wire = await accepted(server)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def answer() -> None:
            await trio.sleep(3)
            server.message("late")
            await trio.sleep(4)
            server.disconnect(1000)

        await wire.aclose(4000, "enough")
        assert trio.current_time() == pytest.approx(7)
    await wire.aclose(1000)
    assert server.sent[1:] == [{"type": "websocket.close", "code": 4000, "reason": "enough"}]
    closed = await closed_by(wire.receive)
    assert (closed.code, closed.reason, closed.initiator) == (4000, "enough", "local")


async def test_receive_stays_open_while_closing(autojump_clock: trio.testing.MockClock) -> None:
    """A receive that begins during aclose raises once the close is answered, not before: its caller would abort."""
    server = Server()
    wire = await accepted(server)
    ended_at: list[float] = []
    async with trio.open_nursery() as nursery:
        for receiver_is_first in (True, False):

            @nursery.start_soon
            async def read(delay_s: float = 0 if receiver_is_first else 2) -> None:
                await trio.sleep(delay_s)
                try:
                    await wire.receive()
                except (ConnectionClosed, LocalProtocolError):
                    ended_at.append(trio.current_time())

        await trio.sleep(1)
        nursery.start_soon(wire.aclose)
        await trio.sleep(4)
        server.disconnect(1000)
    assert ended_at == [pytest.approx(5)] * 2


async def test_closing_takes_over_from_a_receiver_that_leaves(autojump_clock: trio.testing.MockClock) -> None:
    """A close goes on reading where the task in receive is cancelled meanwhile."""
    server = Server()
    wire = await accepted(server)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            with trio.move_on_after(2):
                await wire.receive()

        await trio.sleep(1)
        nursery.start_soon(wire.aclose)
        await trio.sleep(4)
        server.message("late")
        server.disconnect(1000)
    assert (await closed_by(wire.receive)).initiator == "local"


async def test_cancelling_the_close_aborts(autojump_clock: trio.testing.MockClock) -> None:
    """A close that is not answered in the caller's time ends the wire."""
    server = Server()
    wire = await accepted(server)
    with trio.move_on_after(2) as limit:
        await wire.aclose(1001)
    assert limit.cancelled_caught
    closed = await closed_by(wire.receive)
    assert (closed.code, closed.initiator) == (1001, "local")
    await put_away(server)


async def test_an_unsendable_close_code_is_a_mistake() -> None:
    """1006 cannot be sent, and trying to leaves the wire as it is."""
    server = Server()
    wire = await accepted(server)
    with pytest.raises(LocalProtocolError, match="1006"):
        await wire.aclose(1006)
    await wire.send("still open")
    server.disconnect()
    await closed_by(wire.receive)


async def test_two_readers_are_a_mistake() -> None:
    """Only one task may receive."""
    server = Server()
    wire = await accepted(server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(closed_by, wire.receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(LocalProtocolError, match="another task"):
            await wire.receive()
        server.disconnect()


async def test_a_write_that_cannot_be_cancelled_is_left_behind(autojump_clock: trio.testing.MockClock) -> None:
    """With a server whose send hangs and cannot be cancelled, the caller is free at its own deadline."""
    server = Server()
    wire = await accepted(server)
    server.stall()
    with trio.move_on_after(3) as limit:
        await wire.send("stuck")
    assert limit.cancelled_caught
    assert trio.current_time() == pytest.approx(3)
    assert (await closed_by(lambda: wire.send("never"))).code == 1006
    server.resume()
    await put_away(server)
    assert server.sent_kinds == ["accept", "send"]


async def test_abort_wakes_everybody(autojump_clock: trio.testing.MockClock) -> None:
    """An abort wakes the task in receive, the one in a stuck send, and the one in aclose behind it."""
    server = Server()
    wire = await accepted(server)
    server.stall()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(closed_by, wire.receive)
        nursery.start_soon(closed_by, lambda: wire.send("stuck"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wire.aclose)
        await trio.testing.wait_all_tasks_blocked()
        wire.abort()
        wire.abort()
    server.resume()
    await put_away(server)


async def test_an_idle_wire_says_so_when_aborted(autojump_clock: trio.testing.MockClock) -> None:
    """Where no socket can be reached, abort has the server tell the peer, and reads on until the server is done."""
    server = Server()
    wire = await accepted(server)
    wire.abort()
    for _ in range(100):
        server.message("unread")
    await trio.testing.wait_all_tasks_blocked()
    assert server.sent[-1] == {"type": "websocket.close", "code": 1011, "reason": ""}
    assert server._take.statistics().current_buffer_used == 0
    await put_away(server)


async def test_nothing_is_left_behind_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    """A server that never tells the end is given up after a minute."""
    server = Server()
    wire = await accepted(server)
    wire.abort()
    await trio.sleep(61)


@pytest.mark.parametrize("disconnect_is_first", [True, False])
async def test_an_end_that_comes_with_the_abort_is_not_waited_for(*, disconnect_is_first: bool) -> None:
    """Where the task in receive takes the server's last event while the wire is aborted, nothing waits for another."""
    server = Server()
    wire = await accepted(server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(closed_by, wire.receive)
        await trio.testing.wait_all_tasks_blocked()
        if disconnect_is_first:
            server.disconnect()
            wire.abort()
        else:
            wire.abort()
            server.disconnect()
    await trio.testing.wait_all_tasks_blocked()


async def test_a_server_that_fails_is_a_lost_connection() -> None:
    """An exception out of the server's send is a ConnectionClosed with that as its cause."""
    server = Server()
    wire = await accepted(server)
    server.fails_with = OSError("the line is cut")
    with pytest.raises(ConnectionClosed, match="the line is cut") as closed:
        await wire.send("hello")
    assert isinstance(closed.value.__cause__, OSError)
    await closed_by(wire.receive)
    await put_away(server)


async def test_under_a_guard_no_task_is_made() -> None:
    """Under a guard writes are made by their own task, and a cancelled one aborts the server's connection."""
    server = Server()
    guard = Guard(server)
    server.scope["extensions"] = {EXTENSION: {"connection": guard}}
    wire = await accepted(server)
    with trio.CancelScope() as scope:
        scope.cancel()
        await wire.send("never")
    assert guard.aborted == 1
    assert guard.limit_bytes == 1024 * 1024
    assert (await closed_by(wire.receive)).code == 1006
    assert server.sent_kinds == ["accept"]


async def test_under_a_guard_the_end_is_known_before_it_is_read() -> None:
    """A send after the peer's close raises, though messages from before it are still to be read."""
    server = Server()
    guard = Guard(server)
    server.scope["extensions"] = {EXTENSION: {"connection": guard}}
    wire = await accepted(server)
    server.message("last words")
    guard.end(Ending(4000, "bye", "remote"))
    assert (await closed_by(lambda: wire.send("late"))).code == 4000
    assert await wire.receive() == "last words"
    closed = await closed_by(wire.receive)
    assert (closed.code, closed.reason, closed.initiator) == (4000, "bye", "remote")
    await wire.aclose()
    wire.abort()
    assert guard.aborted == 0


class State(Enum):
    CONNECTING = 0
    CONNECTED = 1
    DISCONNECTED = 2


@define(eq=False)
class LikeStarlette:
    server: Server
    application_state: State
    client_state: State

    @property
    def scope(self) -> dict[str, Any]:
        return self.server.scope

    async def receive(self) -> Any:  # noqa: ANN401
        return await self.server.receive()

    async def send(self, message: Any) -> None:  # noqa: ANN401
        await self.server.send(message)


async def test_a_websocket_knows_where_it_stands() -> None:
    """A Starlette WebSocket is asked whether it is accepted, and whether its connect was read."""
    new_server = Server()
    new = asgi_wire(LikeStarlette(new_server, State.CONNECTING, State.CONNECTING))
    await new.accept()
    assert new.is_accepted
    server = Server()
    await server.receive()
    read = asgi_wire(LikeStarlette(server, State.CONNECTING, State.CONNECTED))
    await read.accept()
    assert asgi_wire(LikeStarlette(server, State.CONNECTED, State.CONNECTED)).is_accepted
    with pytest.raises(LocalProtocolError, match="already closed"):
        asgi_wire(LikeStarlette(server, State.DISCONNECTED, State.CONNECTED))
    new.abort()
    await put_away(new_server)
    read.abort()
    await put_away(server)
