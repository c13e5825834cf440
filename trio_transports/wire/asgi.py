"""A WebSocket inside an ASGI app as a wire: raw ``(scope, receive, send)``, or a framework's (``asgi_sources``).

Rules
1. The wire knows when the connection is over, whoever ended it, and raises from then on: ASGI servers drop what is
   sent too late without a word, and wait for ever in a ``receive`` after the last.
2. After this side has closed, what still arrives is dropped, and ``receive`` is drained until the peer's answer: an
   app that leaves messages unread holds its server's connection.
3. Under ``hosting.serve_asgi`` the scope holds a ``ServerConnection``: writes are made directly, a cancelled one
   aborts the connection, ``abort`` reaches the socket, and the end has its true code and initiator.
4. Under another server a write may be one that cannot be cancelled, and so this side can leave it behind
   (``asgi_unguarded``). The end is known only as that server tells it (hypercorn: always 1006).
5. A message over ``max_message_bytes`` is answered with 1009.
6. Where a guarding server offers it and nothing of the app's stands in between, messages go past ASGI
   (``MessageWay``): one read and one write for each. Whatever is no message goes ASGI's way as ever, so the app and its
   framework know what they always know of the connection.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast, final

import trio
from attrs import define, evolve, field

from ..errors import ConnectionClosed, Ending, LocalProtocolError
from .asgi_opening import events_of, peer_of
from .asgi_parting import Parting
from .asgi_reading import Reading
from .asgi_server import EXTENSION as EXTENSION
from .asgi_server import MessageWay, connection_of
from .asgi_server import ServerConnection as ServerConnection
from .asgi_sources import AsgiSource as AsgiSource
from .asgi_sources import Receive as Receive
from .asgi_sources import Scope as Scope
from .asgi_sources import Send as Send
from .asgi_sources import Source, source_of
from .asgi_unguarded import Unguarded
from .closing import sendable_close
from .peer import Peer
from .protocol import BytesLike
from .refusal import Refusal

_TOO_BIG_CLOSE_S: Final = 2.0

ASGIMessage: TypeAlias = dict[str, Any]


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
    _unguarded: Unguarded | None
    """Rule 4."""
    _parting: Parting = field(init=False)
    _reading: Reading = field(factory=Reading, init=False)
    _way: MessageWay | None = field(default=None, init=False)
    """Rule 6."""

    def __attrs_post_init__(self) -> None:
        self._parting = Parting(self.server)

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
        for event in events_of(refusal, self._source.scope):
            await self._write(event)
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
            raise self._end(self._parting.told(event))
        self.is_connected = True

    # -- the wire ------------------------------------------------------------------------------------------------

    async def receive(self) -> str | bytes:
        if self._parting.ending is not None:
            await trio.lowlevel.checkpoint()
            raise self._parting.error()
        if self._reading.is_under_way:
            if self._parting.begun is None:
                raise LocalProtocolError("another task is already receiving from this wire")
            while self._parting.ending is None:
                await self._reading.wait()  # aclose reads to the end
            raise self._parting.error()
        self._reading.is_under_way = True
        try:
            message = await self._next_message()
        finally:
            self._reading.stop()
        if message is None:
            with trio.move_on_after(_TOO_BIG_CLOSE_S):
                await self.aclose(1009, f"a message is over {self._max_message_bytes} bytes")
            raise self._parting.error()
        return message

    async def receive_each(self, take: Callable[[str | bytes], bool]) -> None:
        while self._way is not None and self._parting.is_open and not self._reading.is_under_way:
            self._reading.is_under_way = True
            try:
                if await self._way.receive_each(lambda message: self._parting.is_open and take(message)):
                    return
            finally:
                self._reading.stop()
            if take(await self.receive()):
                return
        while not take(await self.receive()):
            pass

    async def _next_message(self) -> str | bytes | None:
        """Give the next message, or None for one that is too big."""
        while True:
            if self._way is not None and self._parting.begun is None:
                taken = await self._way.next_message()
                if taken is not None and self._parting.is_open:
                    return taken  # the server looks at its size
            event = await self._next_event()
            if self._parting.ending is not None:  # aborted meanwhile
                raise self._parting.error()
            if event["type"] == "websocket.disconnect":
                closed = self._end(self._parting.told(event))
                await self._settle()
                raise closed
            if event["type"] == "websocket.receive" and self._parting.begun is None:
                message: str | bytes | None = event.get("bytes")
                if message is None:
                    message = event.get("text") or ""
                return message if self._fits(message) else None

    async def send(self, message: str | BytesLike) -> None:
        if self._parting.ending is not None or self._parting.begun is not None or self._parting.by_peer() is not None:
            await trio.lowlevel.checkpoint()
            raise self._parting.error()
        if isinstance(message, str):
            await self._write({"type": "websocket.send", "text": message})
        else:
            await self._write({"type": "websocket.send", "bytes": bytes(message)})
        if self._parting.ending is not None or self._parting.by_peer() is not None:
            raise self._parting.error()

    def send_now(self, message: str | bytes) -> bool | None:
        if self._parting.ending is not None or self._parting.begun is not None or self._parting.by_peer() is not None:
            raise self._parting.error()
        return False if self._way is None else self._way.send_now(message)

    async def flushed(self) -> None:
        if self._way is not None and not await self._way.flushed():
            self._break_off(self._parting.begun or self._parting.by_peer() or Ending(1006, "the connection was lost"))
            raise self._parting.error()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        code, reason = sendable_close(code, reason)
        if self._parting.ending is not None or self._parting.begun is not None:
            await trio.lowlevel.checkpoint()
            return
        by_peer = self._parting.by_peer()
        if by_peer is not None:
            await trio.lowlevel.checkpoint()
            self._end(by_peer)
            return
        self._parting.begun = Ending(code, reason, "local")
        try:
            await self._write({"type": "websocket.close", "code": code, "reason": reason})
            await self._drain()
        except ConnectionClosed:  # the peer went meanwhile
            pass
        except BaseException:
            self.abort()
            raise
        self._end(self._parting.begun)
        await self._settle()

    def abort(self) -> None:
        self._break_off(self._parting.begun or Ending(1006, "aborted", "local"))

    def _break_off(self, ending: Ending) -> None:
        if self._parting.ending is not None:
            return
        says_goodbye = self._parting.begun is None and self.is_accepted
        self._parting.ending = ending
        self._reading.wake()
        if self.server is not None:
            self.server.abort()
        if self._unguarded is not None:
            self._unguarded.give_up(says_goodbye=says_goodbye)

    # -- underneath ----------------------------------------------------------------------------------------------

    async def _next_event(self) -> ASGIMessage:
        unguarded = self._unguarded
        try:
            if unguarded is None:
                return cast(ASGIMessage, await self._source.receive())  # wakes by itself when the connection is aborted
            with trio.CancelScope() as unguarded.receiving:
                event = cast(ASGIMessage, await self._source.receive())
                if event["type"] == "websocket.disconnect":
                    unguarded.was_disconnected()
                return event
        except Exception as exc:  # the app's own code may have read the end already, or middleware may fail
            raise self._end(self._parting.lost("receiving", exc)) from exc
        raise self._parting.error()

    async def _write(self, event: ASGIMessage) -> None:
        try:
            await (self._source.send(event) if self._unguarded is None else self._unguarded.writer.write(event))
        except Exception as exc:
            self._break_off(self._parting.lost("sending", exc))
            raise self._parting.error() from exc
        except BaseException:
            self.abort()
            raise

    async def _drain(self) -> None:
        """Read until the connection is over, unless another task does."""
        while self._parting.ending is None:
            if self._reading.is_under_way:
                await self._reading.wait()
                continue
            self._reading.is_under_way = True
            try:
                event = await self._next_event()
            finally:
                self._reading.stop()
            if event["type"] == "websocket.disconnect":
                return

    def _end(self, ending: Ending) -> ConnectionClosed:
        """Note how the connection ended, if that was not known, and make the exception that says it."""
        if self._parting.ending is None:
            self._parting.ending = ending
            if self._unguarded is not None:
                self._unguarded.writer.stop()
        return self._parting.error()

    async def _settle(self) -> None:
        """Leave nothing of an unguarded connection behind."""
        if self._unguarded is not None:
            await self._unguarded.settle()

    def _fits(self, message: str | bytes) -> bool:
        limit = self._max_message_bytes
        if len(message) > limit:
            return False
        return isinstance(message, bytes) or 4 * len(message) <= limit or len(message.encode()) <= limit


def asgi_wire(source: AsgiSource, *, max_message_bytes: int = 1024 * 1024, is_accepted: bool | None = None) -> AsgiWire:
    """Make a wire of a WebSocket. ``is_accepted`` need be said only of a raw source that is, under a foreign server."""
    found = source_of(source)
    server = connection_of(found.scope)
    if server is not None:
        server.limit_messages(max_message_bytes)
    if is_accepted is None:
        is_accepted = bool(found.is_accepted) if server is None else server.is_accepted
    wire = AsgiWire(
        peer=peer_of(found.scope),
        server=server,
        is_accepted=is_accepted,
        is_connected=is_accepted or found.is_connected,
        source=found,
        max_message_bytes=max_message_bytes,
        unguarded=None if server is not None else Unguarded(found),
    )
    if is_accepted:
        wire.find_short_way()
    return wire
