"""What an app may hand over as its WebSocket, with the frameworks' own objects played by the test."""

from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.websockets import WebSocket

from tests.wire.asgi_server import Server
from trio_transports.errors import LocalProtocolError
from trio_transports.wire.asgi_layers import underneath
from trio_transports.wire.asgi_sources import source_of


@define(eq=False)
class Quart:
    """Its ``websocket``: messages for who receives, and methods that write."""

    scope: dict[str, Any] = field(factory=lambda: {"type": "websocket", "path": "/call"})
    requested_subprotocols: tuple[str, ...] = ()
    messages: list[str | bytes | None] = field(factory=list)
    done: list[object] = field(factory=list)

    async def receive(self) -> str | bytes | None:
        await trio.lowlevel.checkpoint()
        return self.messages.pop(0)

    async def send(self, data: str | bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.done.append(data)

    async def accept(self, subprotocol: str | None = None) -> None:
        await trio.lowlevel.checkpoint()
        self.done.append(("accept", subprotocol))

    async def close(self, code: int, reason: str = "") -> None:
        await trio.lowlevel.checkpoint()
        self.done.append(("close", code, reason))


async def test_quarts_messages_are_events() -> None:
    """The connect comes first, once; an empty message, which it gives as None, is one."""
    quart = Quart(messages=["text", b"bytes", "", b"", None])
    receive = source_of(quart).receive
    with trio.testing.assert_checkpoints():
        assert await receive() == {"type": "websocket.connect"}
    assert [await receive() for _ in range(5)] == [
        {"type": "websocket.receive", "text": "text"},
        {"type": "websocket.receive", "bytes": b"bytes"},
        {"type": "websocket.receive", "text": ""},
        {"type": "websocket.receive", "bytes": b""},
        {"type": "websocket.receive", "bytes": b""},
    ]


async def test_events_are_quarts_methods() -> None:
    """Each with what it says; a close that says nothing is an ordinary one."""
    quart = Quart()
    send = source_of(quart).send
    for event in (
        {"type": "websocket.accept"},
        {"type": "websocket.accept", "subprotocol": "v1"},
        {"type": "websocket.send", "text": "text"},
        {"type": "websocket.send", "text": ""},
        {"type": "websocket.send", "bytes": b"bytes"},
        {"type": "websocket.close"},
        {"type": "websocket.close", "code": 4000, "reason": "bye"},
        {"type": "websocket.close", "code": 4001, "reason": None},
    ):
        await send(event)
    assert quart.done == [
        ("accept", None),
        ("accept", "v1"),
        "text",
        "",
        b"bytes",
        ("close", 1000, ""),
        ("close", 4000, "bye"),
        ("close", 4001, ""),
    ]


@pytest.mark.parametrize("extensions", [None, {}, {"websocket.http.response": {}, "another": {"x": 1}}])
async def test_quart_knows_no_answer_but_its_own(extensions: dict[str, Any] | None) -> None:
    """So that is not offered; all else that its server says is, and its own scope stays as it is."""
    quart = Quart(scope={"type": "websocket", "extensions": extensions})
    found = source_of(quart)
    others = {name: value for name, value in (extensions or {}).items() if name == "another"}
    assert found.scope == {"type": "websocket", "extensions": others}
    assert quart.scope["extensions"] is extensions
    assert (found.is_accepted, found.is_connected, found.server_calls) == (None, False, None)


async def test_nothing_is_left_to_read_of_quart(autojump_clock: trio.testing.MockClock) -> None:
    """It reads to the end itself, and has nothing more to say after it."""
    found = source_of(Quart())
    for _ in range(2):
        with trio.testing.assert_checkpoints():
            assert await found.receive_left() == {"type": "websocket.disconnect"}
    with trio.move_on_after(100) as limit:
        await found.receive_rest()
    assert limit.cancelled_caught


@define(eq=False)
class Proxy:
    """As Quart's and Flask's."""

    current: Quart

    def _get_current_object(self) -> Quart:
        return self.current


async def test_a_proxy_is_seen_through() -> None:
    quart = Quart(messages=["text"])
    receive = source_of(Proxy(quart)).receive  # type: ignore[arg-type]
    assert [(await receive())["type"] for _ in range(2)] == ["websocket.connect", "websocket.receive"]
    assert quart.messages == []


@define(eq=False)
class Litestar:
    connection_state: str
    scope: dict[str, Any] = field(factory=lambda: {"type": "websocket"})

    async def receive(self) -> None: ...

    async def send(self, event: object) -> None: ...


@pytest.mark.parametrize(("state", "is_accepted"), [("init", False), ("connect", True)])
def test_where_litestar_stands(state: str, is_accepted: bool) -> None:
    """It reads the connect where it accepts."""
    found = source_of(Litestar(state))
    assert (found.is_accepted, found.is_connected) == (is_accepted, is_accepted)


def test_litestar_after_its_end() -> None:
    with pytest.raises(LocalProtocolError, match=r"already closed \(its state is disconnect\)"):
        source_of(Litestar("disconnect"))


@pytest.mark.parametrize("given", [(), ({"type": "websocket"}, 1), object(), "ws://host/"])
def test_what_is_no_websocket_is_refused(given: object) -> None:
    with pytest.raises(LocalProtocolError, match="is not a WebSocket that can be used here"):
        source_of(given)  # type: ignore[arg-type]


# What stands between an app and its server


class Looking(WebSocket):
    """A class of the app's own."""


async def test_starlettes_own_websocket_is_seen_through() -> None:
    """Then messages may go past ASGI; nothing else is."""
    server: Any = Server()
    websocket = WebSocket(server.scope, server.receive, server.send)
    theirs = (server.receive, server.send)
    assert underneath(websocket, websocket.receive, websocket.send) == theirs
    assert underneath(None, server.receive, server.send) == theirs
    looking = Looking(server.scope, server.receive, server.send)
    assert underneath(looking, looking.receive, looking.send) == (looking.receive, looking.send)


@pytest.mark.parametrize("name", ["receive", "send"])
async def test_one_whose_methods_were_replaced_is_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In itself, or in its class, by a function or by anything else: whoever did so wants to see each message."""
    server: Any = Server()

    async def traced(*_: object) -> None: ...

    def is_seen_through() -> bool:
        websocket = WebSocket(server.scope, server.receive, server.send)
        found = underneath(websocket, websocket.receive, websocket.send)
        return found == (server.receive, server.send)

    for replacement in (traced, Looking):
        with monkeypatch.context() as patched:
            patched.setattr(WebSocket, name, replacement)
            assert not is_seen_through()
    assert is_seen_through()
    websocket = WebSocket(server.scope, server.receive, server.send)
    setattr(websocket, name, traced)
    assert underneath(websocket, websocket.receive, websocket.send) == (websocket.receive, websocket.send)


async def test_starlettes_watch_over_exceptions_is_seen_through() -> None:
    """It looks at nothing but plain HTTP, however often it stands there; another's is not."""
    server: Any = Server()
    websocket = WebSocket(server.scope, server.receive, server.send)
    sends: list[Any] = []

    async def app(_scope: object, receive: Any, send: Any) -> None:  # noqa: ANN401
        await trio.lowlevel.checkpoint()
        assert underneath(None, receive, send) == (server.receive, server.send)
        sends.append(send)

    twice = wrap_app_handling_exceptions(wrap_app_handling_exceptions(app, websocket), websocket)
    await twice(server.scope, server.receive, server.send)

    def counting(send: Any) -> Any:  # noqa: ANN401
        async def sender(event: object) -> None:
            await send(event)

        return sender

    other = counting(sends[0])
    assert underneath(None, server.receive, other) == (server.receive, other)
