"""The ASGI wire on its own, with the server played by the test."""

from enum import Enum
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define

from tests.wire.asgi_server import Guard, Server, accepted, closed_by, put_away
from trio_transports.errors import ConnectionClosed, Ending, LocalProtocolError
from trio_transports.wire import Peer
from trio_transports.wire.asgi import EXTENSION, asgi_wire
from trio_transports.wire.refusal import Refusal


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
        assert closed.reason == (event.get("reason") or "")
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


async def test_a_goodbye_after_the_peers_is_the_end() -> None:
    """It says nothing, and what the peer said before is dropped: this side wants no more."""
    server = Server()
    guard = Guard(server)
    server.scope["extensions"] = {EXTENSION: {"connection": guard}}
    wire = await accepted(server)
    server.message("unread")
    guard.end(Ending(4000, "bye", "remote"))
    await wire.aclose(1000)
    closed = await closed_by(wire.receive)
    assert (closed.code, closed.initiator) == (4000, "remote")
    assert server.sent_kinds == ["accept"]


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
