"""What an app may hand over as its WebSocket, each brought to ASGI's own three: a scope, ``receive`` and ``send``.

Rules
1. A Starlette or FastAPI ``WebSocket`` knows whether it was accepted, and so does a Litestar one. A raw
   ``(scope, receive, send)`` knows nothing, and is taken as new unless its server or its app says otherwise.
2. Quart's ``websocket`` has no ``receive`` of events: it reads them itself, gives messages, and cancels its endpoint
   when the peer has gone. Accepting it twice does no harm. It knows no status to refuse a caller with but 403.
3. Anything else is refused with what would do.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias, cast, final

import trio
from attrs import define, field, frozen

from ..errors import LocalProtocolError
from .asgi_layers import underneath

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[Any]]


class WebSocketLike(Protocol):
    """What is used of a Starlette or Litestar ``WebSocket``."""

    @property
    def scope(self) -> Any: ...  # noqa: ANN401 - a TypedDict of each framework's own

    @property
    def receive(self) -> Callable[..., Awaitable[Any]]: ...

    @property
    def send(self) -> Callable[..., Awaitable[Any]]: ...


class QuartLike(Protocol):
    """What is used of Quart-Trio's ``websocket``."""

    @property
    def scope(self) -> Any: ...  # noqa: ANN401 - a TypedDict of hypercorn's

    @property
    def requested_subprotocols(self) -> list[str]: ...

    async def receive(self) -> Any: ...  # noqa: ANN401 - str or bytes, and None for an empty message

    async def send(self, data: Any) -> None: ...  # noqa: ANN401 - str or bytes

    async def accept(self, headers: Any = None, subprotocol: str | None = None) -> None: ...  # noqa: ANN401

    async def close(self, code: int, reason: str = "") -> None: ...


AsgiSource: TypeAlias = WebSocketLike | QuartLike | tuple[Scope, Receive, Send]


@final
@frozen(kw_only=True)
class Source:
    scope: Scope
    receive: Receive
    receive_rest: Receive
    """Where what comes after the end can be read: a framework's own WebSocket refuses that."""
    receive_left: Receive
    """What is to be read until the server says that it is over, once nobody else does: where the framework reads by
    itself, nothing."""
    send: Send
    server_calls: tuple[Receive, Send] | None
    """The server's own ``receive`` and ``send``, if nothing looks at messages in between (``asgi_layers``)."""
    is_accepted: bool | None
    """None: nobody knows."""
    is_connected: bool
    """``websocket.connect`` was read."""


def source_of(given: AsgiSource) -> Source:
    """Say how to use what an app has handed over."""
    source = getattr(given, "_get_current_object", lambda: given)()  # Quart's is a proxy for the one of this request
    if isinstance(source, tuple) and len(source) == 3:
        scope, receive, send = source
        found = Source(
            scope=scope,
            receive=receive,
            receive_rest=receive,
            receive_left=receive,
            send=send,
            server_calls=underneath(None, receive, send),
            is_accepted=None,
            is_connected=False,
        )
    elif all(hasattr(source, name) for name in ("scope", "receive", "send", "requested_subprotocols")):
        return _of_quart(source)
    elif all(hasattr(source, name) for name in ("scope", "receive", "send")):
        found = _of_framework(source)
    else:
        raise LocalProtocolError(
            f"{given!r} is not a WebSocket that can be used here: pass the WebSocket of FastAPI, Starlette or "
            "Litestar, Quart-Trio's websocket, or an ASGI app's (scope, receive, send)"
        )
    kind = found.scope.get("type")
    if kind != "websocket":
        raise LocalProtocolError(f"a WebSocket's scope is needed here, not one of type {kind!r}")
    return found


def _of_framework(source: Any) -> Source:  # noqa: ANN401 - a class of one of the frameworks
    if hasattr(source, "connection_state"):  # Litestar
        state = str(source.connection_state)
        is_connected, is_over = state != "init", state == "disconnect"
        is_accepted = is_connected  # it reads the connect event where it accepts
    else:
        state = _name(source, "application_state")
        is_over = state not in ("CONNECTING", "CONNECTED")
        is_accepted = state == "CONNECTED"
        is_connected = is_accepted or _name(source, "client_state") == "CONNECTED"
    if is_over:
        raise LocalProtocolError(f"this WebSocket is already closed (its state is {state})")
    return Source(
        scope=source.scope,
        receive=source.receive,
        receive_rest=getattr(source, "_receive", source.receive),
        receive_left=source.receive,
        send=source.send,
        server_calls=underneath(source, source.receive, source.send),
        is_accepted=is_accepted,
        is_connected=is_connected,
    )


def _name(source: object, which: str) -> str:
    return str(getattr(getattr(source, which, None), "name", "CONNECTING"))


def _of_quart(websocket: Any) -> Source:  # noqa: ANN401 - quart.wrappers.Websocket
    scope = dict(websocket.scope)
    extensions = dict(scope.get("extensions") or {})
    extensions.pop("websocket.http.response", None)  # rule 2
    scope["extensions"] = extensions
    events = _QuartEvents(websocket)
    return Source(
        scope=scope,
        receive=events.receive,
        receive_rest=trio.sleep_forever,
        receive_left=events.receive_nothing,
        send=events.send,
        server_calls=None,
        is_accepted=None,
        is_connected=False,
    )


@final
@define(eq=False)
class _QuartEvents:
    """ASGI's events, as Quart's methods."""

    _websocket: QuartLike
    _is_connected: bool = field(default=False, init=False)

    async def receive(self) -> dict[str, Any]:
        if not self._is_connected:
            self._is_connected = True
            await trio.lowlevel.checkpoint()
            return {"type": "websocket.connect"}
        message = await self._websocket.receive()
        which = "text" if isinstance(message, str) else "bytes"
        return {"type": "websocket.receive", which: message or message.__class__() if message is not None else b""}

    async def receive_nothing(self) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"type": "websocket.disconnect"}

    async def send(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "websocket.accept":
                await self._websocket.accept(subprotocol=event.get("subprotocol"))
            case "websocket.close":
                await self._websocket.close(event.get("code", 1000), event.get("reason") or "")
            case _:
                text = event.get("text")
                await self._websocket.send(cast(bytes, event.get("bytes")) if text is None else text)
