"""A WebSocket inside an ASGI app as a wire: raw ``(scope, receive, send)``, or a framework's (``asgi_sources``).

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
6. Where a guarding server offers it and nothing of the app's stands in between, messages go past ASGI
   (``MessageWay``): one read and one write for each. Whatever is no message goes ASGI's way as ever, so the app and its
   framework know what they always know of the connection.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol, TypeAlias, cast, final

import trio
from attrs import define, evolve, field
from trio.lowlevel import ParkingLot

from ..errors import ConnectionClosed, Ending, LocalProtocolError
from .asgi_sources import AsgiSource as AsgiSource
from .asgi_sources import Receive as Receive
from .asgi_sources import Scope as Scope
from .asgi_sources import Send as Send
from .asgi_sources import Source, source_of
from .asgi_writer import Writer, leave_behind, sweep
from .closing import sendable_close
from .peer import Peer
from .protocol import BytesLike
from .refusal import Refusal

EXTENSION: Final = "trio_transports.connection"
"""Where in ``scope["extensions"]`` a guarding server puts ``{"connection": ServerConnection}``."""

_TOO_BIG_CLOSE_S: Final = 2.0

ASGIMessage: TypeAlias = dict[str, Any]


class MessageWay(Protocol):
    """Messages without ASGI's events."""

    async def next_message(self) -> str | bytes | None:
        """Give the next message, or None where ``receive`` has something else to tell."""

    async def receive_each(self, take: Callable[[str | bytes], bool]) -> bool:
        """Hand messages over until ``take`` answers True; False where ``receive`` has something else to tell."""

    def send_now(self, message: str | bytes) -> bool | None:
        """As a wire's; False as well where the connection is broken, which ``send`` finds and tells."""

    async def flushed(self) -> bool:
        """Wait until what was begun is written; False where the connection is broken. Cancelling it aborts."""


class ServerConnection(Protocol):
    """What a guarding server tells of the connection beyond what ASGI has words for."""

    @property
    def ending(self) -> Ending | None: ...

    @property
    def is_accepted(self) -> bool: ...

    def abort(self) -> None: ...

    def on_shutdown(self, callback: Callable[[], Awaitable[object]]) -> Callable[[], None]: ...

    def limit_messages(self, max_bytes: int) -> None: ...

    def short_way(self, receive: Callable[..., object], send: Callable[..., object]) -> MessageWay | None: ...

    def keep_alive(self, interval_s: float, timeout_s: float) -> None: ...


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
@define(eq=False, repr=False)
class AsgiWire:
    """One WebSocket of an ASGI app; made by ``asgi_wire``."""

    peer: Peer
    server: ServerConnection | None
    """What a guarding server says; None under any other."""
    is_accepted: bool
    is_connected: bool
    """The server's ``websocket.connect`` was read."""
    _source: Source
    _max_message_bytes: int
    _writer: Writer | None
    _way: MessageWay | None = field(default=None, init=False)
    """Rule 6."""
    _closing: Ending | None = field(default=None, init=False)
    """How this side has begun to end the connection."""
    _ending: Ending | None = field(default=None, init=False)
    """How the connection ended."""
    _is_reading: bool = field(default=False, init=False)
    _reader_left: ParkingLot = field(factory=ParkingLot, init=False)
    _receive_scope: trio.CancelScope | None = field(default=None, init=False)
    _is_disconnected: bool = field(default=False, init=False)
    _left_behind: trio.CancelScope | None = field(default=None, init=False)

    def __repr__(self) -> str:
        return f"<AsgiWire with {self.peer}>"

    @property
    def scope(self) -> Scope:
        """The scope that the app was called with."""
        return self._source.scope

    # -- before the connection is open ---------------------------------------------------------------------------

    @property
    def offered_subprotocols(self) -> tuple[str, ...]:
        return tuple(self._source.scope.get("subprotocols", ()))

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
        self.find_short_way()
        self.peer = evolve(self.peer, subprotocol=subprotocol)

    def find_short_way(self) -> None:
        """Rule 6, once the connection is open."""
        if self.server is not None and self._source.server_calls is not None:
            self._way = self.server.short_way(*self._source.server_calls)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer the upgrade request with an HTTP status; with 403 where the server knows no other."""
        if self.is_accepted:
            raise LocalProtocolError("this WebSocket is already accepted: close it instead")
        await self._connect()
        body = refusal.body.encode()
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in refusal.headers]
        if not any(name == b"content-length" for name, _ in headers):
            headers.append((b"content-length", str(len(body)).encode("ascii")))
        if "websocket.http.response" in (self._source.scope.get("extensions") or {}):
            await self._write({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
            await self._write({"type": "websocket.http.response.body", "body": body, "more_body": False})
        else:
            await self._write({"type": "websocket.close", "code": 1008, "reason": ""})
        self._end(Ending(1006, f"refused with HTTP status {refusal.status}", "local"))
        await self._settle()

    async def _connect(self) -> None:
        """Take the server's ``websocket.connect``, once."""
        if self.is_connected:
            return
        event = await self._next_event()
        if event["type"] == "websocket.receive":
            raise LocalProtocolError(
                "a message came in place of websocket.connect: this WebSocket is accepted already. Say is_accepted=True"
            )
        if event["type"] != "websocket.connect":
            raise self._end(self._told_ending(event))
        self.is_connected = True

    # -- the wire ------------------------------------------------------------------------------------------------

    async def receive(self) -> str | bytes:
        if self._ending is not None:
            await trio.lowlevel.checkpoint()
            raise self._closed()
        if self._is_reading:
            if self._closing is None:
                raise LocalProtocolError("another task is already receiving from this wire")
            while self._ending is None:
                await self._reader_left.park()  # aclose reads to the end
            raise self._closed()
        self._is_reading = True
        try:
            message = await self._next_message()
        finally:
            self._stop_reading()
        if message is None:
            with trio.move_on_after(_TOO_BIG_CLOSE_S):
                await self.aclose(1009, f"a message is over {self._max_message_bytes} bytes")
            raise self._closed()
        return message

    async def receive_each(self, take: Callable[[str | bytes], bool]) -> None:
        while self._way is not None and self._is_open and not self._is_reading:
            self._is_reading = True
            try:
                if await self._way.receive_each(lambda message: self._is_open and take(message)):
                    return
            finally:
                self._stop_reading()
            if take(await self.receive()):
                return
        while not take(await self.receive()):
            pass

    @property
    def _is_open(self) -> bool:
        return self._closing is None and self._ending is None

    async def _next_message(self) -> str | bytes | None:
        """Give the next message, or None for one that is too big."""
        while True:
            if self._way is not None and self._closing is None:
                taken = await self._way.next_message()
                if taken is not None and self._is_open:
                    return taken  # the server looks at its size
            event = await self._next_event()
            if self._ending is not None:  # aborted meanwhile
                raise self._closed()
            if event["type"] == "websocket.disconnect":
                closed = self._end(self._told_ending(event))
                await self._settle()
                raise closed
            if event["type"] == "websocket.receive" and self._closing is None:
                message: str | bytes | None = event.get("bytes")
                if message is None:
                    message = event.get("text") or ""
                return message if self._fits(message) else None

    async def send(self, message: str | BytesLike) -> None:
        if self._ending is not None or self._closing is not None or self._ended_by_peer() is not None:
            await trio.lowlevel.checkpoint()
            raise self._closed()
        if isinstance(message, str):
            await self._write({"type": "websocket.send", "text": message})
        else:
            await self._write({"type": "websocket.send", "bytes": bytes(message)})
        if self._ending is not None or self._ended_by_peer() is not None:
            raise self._closed()

    def send_now(self, message: str | bytes) -> bool | None:
        if self._ending is not None or self._closing is not None or self._ended_by_peer() is not None:
            raise self._closed()
        return False if self._way is None else self._way.send_now(message)

    async def flushed(self) -> None:
        if self._way is not None and not await self._way.flushed():
            self._break_off(self._closing or self._ended_by_peer() or Ending(1006, "the connection was lost"))
            raise self._closed()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        code, reason = sendable_close(code, reason)
        if self._ending is not None or self._closing is not None:
            await trio.lowlevel.checkpoint()
            return
        by_peer = self._ended_by_peer()
        if by_peer is not None:
            await trio.lowlevel.checkpoint()
            self._end(by_peer)
            return
        self._closing = Ending(code, reason, "local")
        try:
            await self._write({"type": "websocket.close", "code": code, "reason": reason})
            await self._drain()
        except ConnectionClosed:  # the peer went meanwhile
            pass
        except BaseException:
            self.abort()
            raise
        self._end(self._closing)
        await self._settle()

    def abort(self) -> None:
        self._break_off(self._closing or Ending(1006, "aborted", "local"))

    def _break_off(self, ending: Ending) -> None:
        if self._ending is not None:
            return
        self._ending = ending
        self._reader_left.unpark_all()
        if self.server is not None:
            self.server.abort()
        if self._receive_scope is not None:
            self._receive_scope.cancel()
        if self._writer is not None:
            last_words = {"type": "websocket.close", "code": 1011, "reason": ""}
            self._writer.abandon(last_words if self._closing is None and self.is_accepted else None)
            if not self._is_disconnected:
                self._left_behind = leave_behind(self._source.receive_left, self._source.receive_rest, self._writer)

    # -- underneath ----------------------------------------------------------------------------------------------

    async def _next_event(self) -> ASGIMessage:
        try:
            if self.server is not None:
                return cast(ASGIMessage, await self._source.receive())  # wakes by itself when the connection is aborted
            with trio.CancelScope() as self._receive_scope:
                event = cast(ASGIMessage, await self._source.receive())
                if event["type"] == "websocket.disconnect":
                    self._is_disconnected = True
                    if self._left_behind is not None:  # it waits for the event that has just come here
                        self._left_behind.cancel()
                return event
        except Exception as exc:  # the app's own code may have read the end already, or middleware may fail
            raise self._end(self._lost("receiving", exc)) from exc
        raise self._closed()

    async def _write(self, event: ASGIMessage) -> None:
        try:
            await (self._source.send(event) if self._writer is None else self._writer.write(event))
        except Exception as exc:
            self._break_off(self._lost("sending", exc))
            raise self._closed() from exc
        except BaseException:
            self.abort()
            raise

    async def _drain(self) -> None:
        """Read until the connection is over, unless another task does."""
        while self._ending is None:
            if self._is_reading:
                await self._reader_left.park()
                continue
            self._is_reading = True
            try:
                event = await self._next_event()
            finally:
                self._stop_reading()
            if event["type"] == "websocket.disconnect":
                return

    def _stop_reading(self) -> None:
        self._is_reading = False
        self._reader_left.unpark_all()

    def _ended_by_peer(self) -> Ending | None:
        """What the server knows of an end that this side has not begun, though messages may be left to read."""
        return None if self.server is None or self._closing is not None else self.server.ending

    def _told_ending(self, event: ASGIMessage) -> Ending:
        if self._closing is not None:
            return self._closing
        if self.server is not None and self.server.ending is not None:
            return self.server.ending
        code = event.get("code", 1005)
        return Ending(code, event.get("reason") or "", "error" if code == 1006 else "remote")

    def _lost(self, doing: str, exc: Exception) -> Ending:
        known = self._closing or self._ended_by_peer()
        return known or Ending(1006, f"{doing} failed: {exc!r}")

    def _end(self, ending: Ending) -> ConnectionClosed:
        """Note how the connection ended, if that was not known, and make the exception that says it."""
        if self._ending is None:
            self._ending = ending
            self._reader_left.unpark_all()
            if self._writer is not None:
                self._writer.stop()
        return self._closed()

    async def _settle(self) -> None:
        """Leave nothing of an unguarded connection behind: no task here, and no full queue for the server."""
        if self._writer is not None:
            if self._is_disconnected:
                with suppress(Exception):  # a server may refuse to be read after the end
                    await sweep(self._source.receive_rest)
            await self._writer.stopped()

    def _closed(self) -> ConnectionClosed:
        ending = self._ending or self._closing or self._ended_by_peer()
        assert ending is not None
        return ending.error()

    def _fits(self, message: str | bytes) -> bool:
        limit = self._max_message_bytes
        if len(message) > limit:
            return False
        return isinstance(message, bytes) or 4 * len(message) <= limit or len(message.encode()) <= limit


def asgi_wire(source: AsgiSource, *, max_message_bytes: int = 1024 * 1024, is_accepted: bool | None = None) -> AsgiWire:
    """Make a wire of a WebSocket. ``is_accepted`` need be said only of a raw source that is, under a foreign server."""
    found = source_of(source)
    server: ServerConnection | None = ((found.scope.get("extensions") or {}).get(EXTENSION) or {}).get("connection")
    if server is not None:
        server.limit_messages(max_message_bytes)
    if is_accepted is None:
        is_accepted = bool(found.is_accepted) if server is None else server.is_accepted
    wire = AsgiWire(
        peer=_peer_of(found.scope),
        server=server,
        is_accepted=is_accepted,
        is_connected=is_accepted or found.is_connected,
        source=found,
        max_message_bytes=max_message_bytes,
        writer=None if server is not None else Writer(found.send),
    )
    if is_accepted:
        wire.find_short_way()
    return wire
