"""A WebSocket inside an ASGI app as a wire: raw ``(scope, receive, send)``, or a Starlette or FastAPI ``WebSocket``.

Rules
1. The wire knows when the connection is over, whoever ended it, and raises from then on: ASGI servers drop what is
   sent too late without a word, and wait for ever in a ``receive`` after the last.
2. After this side has closed, what still arrives is dropped, and ``receive`` is drained until the peer's answer: an
   app that leaves messages unread holds its server's connection.
3. Under ``hosting.serve_asgi`` the scope holds a ``ServerConnection``: writes are made directly, a cancelled one
   aborts the connection, ``abort`` reaches the socket, and the end has its true code and initiator.
4. Under another server a write may be one that cannot be cancelled (hypercorn shields it), and the end is known only
   as that server tells it (hypercorn: always 1006). Writes then go through a task of their own (``asgi_writer``), which
   this side can leave behind.
5. A message over ``max_message_bytes`` is answered with 1009.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, Protocol, TypeAlias, final

import trio
from attrs import define, evolve, field
from trio.lowlevel import ParkingLot

from ..errors import ConnectionClosed, LocalProtocolError
from .asgi_writer import Writer, drain_behind
from .peer import Peer
from .protocol import BytesLike

EXTENSION: Final = "trio_transports.connection"
"""Where in ``scope["extensions"]`` a guarding server puts ``{"connection": ServerConnection}``."""

_TOO_BIG_CLOSE_S: Final = 2.0

ASGIMessage: TypeAlias = dict[str, Any]
Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[Any]]


class ServerConnection(Protocol):
    """What a guarding server tells of the connection beyond what ASGI has words for."""

    @property
    def ending(self) -> ConnectionClosed | None: ...

    def abort(self) -> None: ...

    def on_shutdown(self, callback: Callable[[], Awaitable[object]]) -> Callable[[], None]: ...

    def keep_alive(self, interval_s: float, timeout_s: float) -> None: ...


class WebSocketLike(Protocol):
    """What is used of a Starlette ``WebSocket``."""

    @property
    def scope(self) -> Any: ...

    async def receive(self) -> Any: ...

    async def send(self, message: Any) -> None: ...


AsgiSource: TypeAlias = WebSocketLike | tuple[Scope, Receive, Send]


def _peer_of(scope: Scope) -> Peer:
    client = scope.get("client") or ("", None)
    return Peer(
        address=client[0],
        port=client[1],
        path=scope.get("path", "/"),
        query_string=bytes(scope.get("query_string", b"")).decode("latin-1"),
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope.get("headers", ())),
    )


@final
@define(eq=False)
class AsgiWire:
    """One WebSocket of an ASGI app; made by ``asgi_wire``."""

    peer: Peer
    server: ServerConnection | None
    """What a guarding server says; None under any other."""
    is_accepted: bool
    _scope: Scope
    _receive: Receive
    _send: Send
    _max_message_bytes: int
    _writer: Writer | None
    _is_connected: bool = field(default=False, init=False)
    _closing: ConnectionClosed | None = field(default=None, init=False)
    """How this side has begun to end the connection."""
    _ending: ConnectionClosed | None = field(default=None, init=False)
    """How the connection ended."""
    _is_receiving: bool = field(default=False, init=False)
    _receiver_left: ParkingLot = field(factory=ParkingLot, init=False)
    _receive_scope: trio.CancelScope | None = field(default=None, init=False)

    # -- before the connection is open ---------------------------------------------------------------------------

    @property
    def offered_subprotocols(self) -> tuple[str, ...]:
        return tuple(self._scope.get("subprotocols", ()))

    async def accept(self, subprotocol: str | None = None) -> None:
        """Answer the upgrade request. Cancelling it leaves the request unanswered or the connection open."""
        if self.is_accepted:
            raise LocalProtocolError("this WebSocket is already accepted")
        if subprotocol is not None and subprotocol not in self.offered_subprotocols:
            offer = ", ".join(self.offered_subprotocols) or "none"
            raise LocalProtocolError(f"subprotocol {subprotocol!r} was not offered by the client; it offered {offer}")
        await self._connect()
        await self._write({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
        self.is_accepted = True
        self.peer = evolve(self.peer, subprotocol=subprotocol)

    async def refuse(self, status: int, *, body: bytes = b"", headers: Collection[tuple[str, str]] = ()) -> None:
        """Answer the upgrade request with an HTTP status; with 403, whatever is asked for, where the server knows no other."""
        if self.is_accepted:
            raise LocalProtocolError("this WebSocket is already accepted: close it instead")
        await self._connect()
        self._ending = ConnectionClosed(1006, f"refused with HTTP status {status}", initiator="local")
        if "websocket.http.response" in (self._scope.get("extensions") or {}):
            lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            if not any(name == b"content-length" for name, _ in lines):
                lines.append((b"content-length", str(len(body)).encode("ascii")))
            await self._write({"type": "websocket.http.response.start", "status": status, "headers": lines})
            await self._write({"type": "websocket.http.response.body", "body": body, "more_body": False})
        else:
            await self._write({"type": "websocket.close", "code": 1008, "reason": ""})
        self._stop_writer()

    async def _connect(self) -> None:
        """Take the server's ``websocket.connect``, once."""
        if self._is_connected:
            return
        event = await self._next_event()
        if event["type"] != "websocket.connect":
            raise self._end(self._server_ending(event))
        self._is_connected = True

    # -- the wire ------------------------------------------------------------------------------------------------

    async def receive(self) -> str | bytes:
        if self._is_receiving:
            raise LocalProtocolError("another task is already in receive")
        if self._ending is not None:
            await trio.lowlevel.checkpoint()
            raise self._closed()
        self._is_receiving = True
        try:
            while True:
                event = await self._next_event()
                if self._ending is not None:  # aborted meanwhile
                    raise self._closed()
                if event["type"] == "websocket.disconnect":
                    raise self._end(self._server_ending(event))
                if event["type"] != "websocket.receive" or self._closing is not None:
                    continue
                message: str | bytes | None = event.get("bytes")
                if message is None:
                    message = event.get("text") or ""
                if not self._fits(message):
                    break
                return message
        finally:
            self._is_receiving = False
            self._receiver_left.unpark_all()
        with trio.move_on_after(_TOO_BIG_CLOSE_S):
            await self.aclose(1009, f"message over {self._max_message_bytes} bytes")
        raise self._closed()

    async def send(self, message: str | BytesLike) -> None:
        if self._closing is not None or self._ending is not None:
            await trio.lowlevel.checkpoint()
            raise self._closed()
        if isinstance(message, str):
            await self._write({"type": "websocket.send", "text": message})
        else:
            await self._write({"type": "websocket.send", "bytes": bytes(message)})
        if self._ending is not None:
            raise self._closed()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        if self._closing is not None or self._ending is not None:
            await trio.lowlevel.checkpoint()
            return
        self._closing = ConnectionClosed(code, reason, initiator="local")
        try:
            await self._write({"type": "websocket.close", "code": code, "reason": reason})
            await self._drain()
        except ConnectionClosed:  # the peer was first
            pass
        except BaseException:
            self.abort()
            raise
        self._end(self._closing)
        if self._writer is not None:
            await self._writer.stopped()

    def abort(self) -> None:
        if self._ending is not None:
            return
        self._ending = self._closing or ConnectionClosed(1006, "aborted", initiator="local")
        if self.server is not None:
            self.server.abort()
            return
        if self._receive_scope is not None:
            self._receive_scope.cancel()
        if self._writer is not None:
            self._writer.abandon()
        drain_behind(self._receive)

    # -- underneath ----------------------------------------------------------------------------------------------

    async def _next_event(self) -> ASGIMessage:
        if self.server is not None:
            return await self._receive()  # wakes by itself when the connection is aborted
        ...
