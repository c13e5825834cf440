"""WebSocket connections by trio-websocket, for both sides: the default engine.

Rules
1. The byte stream is owned here (``OwnedStream``). However the engine stands, ``abort`` and the end of the body
   close it: HAZARDS, trio-websocket, "own the stream".
2. The engine's tasks run in a nursery of their own, so that its failure ends this connection and nothing else.
3. A send that is cancelled midway aborts: half a frame may be on the stream.
4. Keepalive is a ping with a deadline for its pong. A connection that misses it is aborted.
5. A peer that vanishes during the handshake ends the handshake at once, not at its timeout; while ``admit`` makes up
   its mind, at its timeout.
6. Foreign exceptions are translated here, those of a handshake in ``handshake_failures``, and nowhere else.
7. As a server, the request is read and judged by ``answering``, as on every engine. The engine is shown a request that
   says only what it must know, and so answers none that another reader could take for something else (HAZARDS 42).
8. The engine ends a violation without a word. Its Close is written here, and the peer has a moment to read it.
9. Once this side says goodbye the engine gives no message, and says so at once. Whoever reads is told when the peer has
   answered, or ``aclose`` was given up: told before, a session closes a socket with unread bytes in it, and the reset
   takes the goodbye from a peer that is talking.
10. A write that fails does not say how the connection ended: the peer's Close may be waiting to be read. The engine,
    told of it, would read nothing more; so it is not told, and whoever writes waits for what its reader finds.
11. Where a server's sockets share their wakes, ordinary messages go past the engine, both ways: see ``wire.short_way``.
    Its tasks, its channel and its parser take 60 of the 140 microseconds of an echoed frame.
12. The engine fails over a peer's ping, or its violation, that crosses this side's goodbye: it wants to answer, and may
    not. What the peer says until its own goodbye is read here then.
13. Of empty fragments without end the engine is given few: see ``wire.fragments``.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final, final

import trio
import trio_websocket
from attrs import define, field
from wsproto.connection import ConnectionState
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from .._nursery import open_services
from ..errors import ConnectionClosed, Ending, Initiator, TransportError
from .answering import Admit, Plain, UpgradeRequest, nothing, read_request
from .closing import LINGER_S, sendable_close
from .fragments import FewFragments
from .handshake_failures import cut_off, decoded, first_leaf, handshake_error
from .incoming import Incoming
from .peer import Peer
from .protocol import BytesLike, Wire
from .rfc6455 import encode_close
from .settings import WireSettings
from .short_way import ShortWay
from .stream import OwnedStream, TCPStream, peer_address
from .wakes import SharedWakes

logger = logging.getLogger("trio_transports.wire")


_TOO_BIG: Final = 1009


@final
@define(eq=False, repr=False)
class TrioWebsocketWire:
    """Made by ``connect_wire`` and ``accept_wire``."""

    peer: Peer
    _connection: trio_websocket.WebSocketConnection
    _stream: OwnedStream
    _short: ShortWay | None = None
    """Rule 11."""
    _ending: Ending | None = field(default=None, init=False)
    _closing: trio.Event | None = field(default=None, init=False)
    """Set when the goodbye that this side has begun is over."""
    _awaiting_answer: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    """Of whoever has said goodbye; rule 12."""
    _telling: trio.Lock = field(factory=trio.Lock, init=False)
    _has_told: bool = field(default=False, init=False)
    """What was wrong; rule 8."""
    engine_has_ended: trio.Event = field(factory=trio.Event, init=False)

    def __repr__(self) -> str:
        return f"<TrioWebsocketWire with {self.peer}>"

    async def receive(self) -> str | bytes:
        received: list[str | bytes] = []

        def take(message: str | bytes) -> bool:
            received.append(message)
            return True

        await self.receive_each(take)
        return received[0]

    async def receive_each(self, take: Callable[[str | bytes], bool]) -> None:
        short = self._short
        while short is not None and (short.is_open or short.incoming.arrived):
            if short.incoming.arrived:
                await trio.lowlevel.checkpoint_if_cancelled()
                is_enough = take(short.next_arrived())
                await trio.lowlevel.cancel_shielded_checkpoint()
                if is_enough:
                    return
            elif await short.receive_each(take):
                return
        while not take(await self._receive_from_engine()):
            pass

    async def _receive_from_engine(self) -> str | bytes:
        try:
            return await self._connection.get_message()
        except trio_websocket.ConnectionClosed as exc:
            if self._closing is not None:
                await self._closing.wait()  # rule 9
            ending = self._ended(exc)
            if ending.code == _TOO_BIG and ending.initiator == "local":
                await self._let_the_peer_read_the_close()
                self._stream.abort()
            await self._tell_violation(ending)
            raise ending.error() from exc

    def alarm_s(self, due_s: float) -> float:
        return self._stream.descriptor.alarm_s(due_s)

    async def send(self, message: str | BytesLike) -> None:
        if not isinstance(message, str | bytes):
            message = bytes(message)
        try:
            await self._connection.send_message(message)
            if self._stream.writes.has_failed:
                raise await self._read_to_the_end()
        except trio_websocket.ConnectionClosed as exc:
            ending = self._ended(exc)
            await self._tell_violation(ending)
            raise ending.error() from exc
        except trio.Cancelled:
            self.abort()
            raise

    def send_now(self, message: str | bytes) -> bool | None:
        closed = self._connection.closed
        if self._ending is not None or closed is not None:
            raise (self._ending or self._engines_ending(trio_websocket.ConnectionClosed(closed))).error()
        if self._short is None or self._connection._wsproto.state is not ConnectionState.OPEN:
            return False
        try:
            return self._short.send_now(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False  # rule 10: ``send`` waits for what the reader finds

    async def flushed(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            if self._short is not None:
                await self._short.backlog.flush()
            if self._stream.writes.has_failed:
                raise await self._read_to_the_end()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._ended(await self._read_to_the_end()).error() from None
        except trio_websocket.ConnectionClosed as exc:
            raise self._ended(exc).error() from exc
        except trio.Cancelled:
            self.abort()
            raise

    async def _read_to_the_end(self) -> trio_websocket.ConnectionClosed:
        """Rule 10. A session always reads; where nobody does, the engine's reader is not waited for."""
        with trio.move_on_after(LINGER_S):
            while self._connection.closed is None:  # noqa: ASYNC110 - the engine tells nobody
                await trio.sleep(LINGER_S / 50)
        self._stream.abort()
        return trio_websocket.ConnectionClosed(self._connection.closed)

    async def ping(self) -> None:
        """Wait until the peer answers a ping, or for ever: the caller's deadline is the limit."""
        await self._connection.ping()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        code, reason = sendable_close(code, reason)
        if self._ending is None and self._connection.closed is None:
            self._ending = Ending(code, reason, "local")
        if self._closing is None:
            self._closing = trio.Event()
            if self._short is not None:
                self._short.leave()
                self._short.incoming.arrived.clear()
            goodbye: Callable[[], Awaitable[object]] = partial(self._say_goodbye, code, reason)
        else:  # the engine would return at once, with the goodbye still on its way
            goodbye = self._closing.wait
        try:
            await goodbye()
        finally:
            # Also when the engine believes it has nothing to do: HAZARDS, "sockets left unclosed".
            self._stream.close()
            self._closing.set()

    def refused(self, ending: Ending) -> None:
        """Rule 13: the engine was given no more."""
        if self._ending is None:
            self._ending = ending

    def is_crossed(self, failure: Exception) -> bool:
        """Whether the engine has failed by rule 12."""
        return self._closing is not None and isinstance(failure, LocalProtocolError)

    async def hear_out(self) -> None:
        """Rule 12: read, and drop, until the peer's goodbye or the end of the stream."""
        protocol = self._connection._wsproto
        stream = self._stream if self._short is None else self._short  # which may have the beginning of a frame yet
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, RemoteProtocolError):
            while True:
                for _ in protocol.events():  # by this it takes notice of a Close
                    pass
                data = await stream.receive_some(65536) if protocol.state is ConnectionState.LOCAL_CLOSING else b""
                if not data:
                    break
                protocol.receive_data(bytes(data))
        self._awaiting_answer.cancel()

    async def _say_goodbye(self, code: int, reason: str) -> None:
        with self._awaiting_answer:
            await self._connection.aclose(code, reason)

    def abort(self) -> None:
        if self._connection.closed is None:
            self.fail("aborted", initiator="local")
        self._stream.abort()

    def fail(self, reason: str, *, initiator: Initiator = "error") -> None:
        """Record why this side ends the connection, and end it."""
        if self._ending is None:
            self._ending = Ending(1006, reason, initiator)
        self._stream.abort()

    def _ended(self, cause: trio_websocket.ConnectionClosed) -> Ending:
        if self._ending is None:
            self._ending = self._engines_ending(cause)
        return self._ending

    def _engines_ending(self, cause: trio_websocket.ConnectionClosed) -> Ending:
        closed = self._connection.closed
        # Over the size limit the engine closes the reading end of its channel; a peer's Close ends the writing end. It
        # goes on with what was read, and may find another fault in that: the peer was told of the first one.
        if self._closing is None and isinstance(cause.__context__, trio.ClosedResourceError):
            reason = closed.reason if closed is not None and closed.code == _TOO_BIG else None
            return Ending(_TOO_BIG, reason or "a message over the limit", "local")
        if closed is None or closed.code == 1006:
            return Ending(1006, "the connection was lost")
        # A frame that breaks the rules becomes a Close of the making of this engine, which no peer sent. It does
        # not send that either: rule 8 does. Only a real Close ends the closing handshake.
        is_real = self._connection._wsproto.state is ConnectionState.CLOSED
        return Ending(int(closed.code), closed.reason or "", "remote" if is_real else "error")

    async def _tell_violation(self, ending: Ending) -> None:
        """Rule 8. A writer may be the first to hear of it; whoever hears of it goes on when the peer has been told."""
        if ending.initiator == "error" and ending.code != 1006:
            async with self._telling:
                if not self._has_told:
                    self._has_told = True
                    await self._say_what_was_wrong(ending)

    async def _say_what_was_wrong(self, ending: Ending) -> None:
        """Where a write is under way, or stands half done, nothing can follow it."""
        with trio.move_on_after(LINGER_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            if not self._stream.descriptor.is_writing and not (self._short is not None and self._short.backlog):
                await self._stream.send_all(
                    encode_close(*sendable_close(ending.code, ending.reason), masked=self._connection.is_client)
                )
                self._stream.shut_writing()
                await self._let_the_peer_read_the_close()
        self._stream.abort()

    async def _let_the_peer_read_the_close(self) -> None:
        """Read on for a moment: closing with unread bytes would reset the connection and take our Close with it."""
        with trio.move_on_after(LINGER_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.engine_has_ended.wait()  # until then it is the engine that reads
            while await self._stream.receive_some(65536):
                pass


@asynccontextmanager
async def connect_wire(
    stream: TCPStream,
    *,
    url: str,
    host: str,
    resource: str,
    headers: Sequence[tuple[str, str]] = (),
    subprotocols: Sequence[str] = (),
    settings: WireSettings,
) -> AsyncIterator[Wire]:
    """Upgrade a connected stream, as its client. The caller sets the time limit until the body starts."""
    owned = OwnedStream(stream)
    given = FewFragments(owned)
    address, port = peer_address(stream)
    path, _, query = resource.partition("?")

    async def open_wire(nursery: trio.Nursery) -> TrioWebsocketWire:
        connection = await trio_websocket.wrap_client_stream(
            nursery,
            given,  # type: ignore[arg-type]  # any Stream does: the annotation is narrower than the code
            host,
            resource,
            subprotocols=list(subprotocols),
            extra_headers=[(name.encode(), value.encode()) for name, value in headers],
            max_message_size=settings.max_message_bytes,
        )
        peer = Peer(
            address=address,
            port=port,
            path=path,
            query_string=query,
            headers=decoded(connection.handshake_headers),
            subprotocol=connection.subprotocol,
        )
        wire = TrioWebsocketWire(peer, connection, owned)
        given.watch(connection, wire.refused)
        return wire

    async with _engine(open_wire, owned, settings, what=f"the WebSocket handshake with {url}") as wire:
        yield wire


@asynccontextmanager
async def accept_wire(
    stream: TCPStream,
    *,
    admit: Admit,
    subprotocols: Sequence[str] = (),
    plain: Plain = nothing,
    settings: WireSettings,
    wakes: SharedWakes | None = None,
) -> AsyncIterator[Wire]:
    """Upgrade an accepted stream, as its server, if ``admit`` lets the caller in; else raise HandshakeRejected."""
    owned = OwnedStream(stream)
    address, port = peer_address(stream)
    what = f"the WebSocket handshake from {address}"
    try:
        try:
            asked = await read_request(
                owned, address=address, port=port, admit=admit, subprotocols=subprotocols, plain=plain
            )
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise ConnectionClosed(1006, f"{what} was cut off", initiator="error") from exc
        short: ShortWay | None = None
        if wakes is None or not isinstance(stream, trio.SocketStream):
            owned.reads.put_back, owned.reads.held = _in_short(asked), asked.trailing
        else:
            short = ShortWay(owned, Incoming(settings.max_message_bytes, bytearray(_in_short(asked))))

        given = FewFragments(owned if short is None else short)

        async def open_wire(nursery: trio.Nursery) -> TrioWebsocketWire:
            request = await trio_websocket.wrap_server_stream(
                nursery,
                given,
                max_message_size=settings.max_message_bytes,
            )
            connection = await request.accept(subprotocol=asked.peer.subprotocol)
            owned.outlives_engine = partial(_is_violated, connection)  # rule 8
            wire = TrioWebsocketWire(asked.peer, connection, owned, short)
            given.watch(connection, wire.refused)
            return wire

        async with _engine(open_wire, owned, settings, what=what, wakes=wakes) as wire:
            if short is not None:
                short.begin(asked.trailing)
            yield wire
    finally:
        owned.close()


def _in_short(asked: UpgradeRequest) -> bytes:
    """Rule 7: the request as the engine is shown it."""
    protocol = asked.peer.subprotocol
    lines = (
        "GET / HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {asked.key}",
        *(() if protocol is None else (f"Sec-WebSocket-Protocol: {protocol}",)),
    )
    return "\r\n".join((*lines, "", "")).encode()


def _is_violated(connection: trio_websocket.WebSocketConnection) -> bool:
    """The engine takes the connection for closed, though no Close was sent or received."""
    return connection.closed is not None and connection._wsproto.state is ConnectionState.OPEN


@asynccontextmanager
async def _engine(
    open_wire: Callable[[trio.Nursery], Awaitable[TrioWebsocketWire]],
    owned: OwnedStream,
    settings: WireSettings,
    *,
    what: str,
    wakes: SharedWakes | None = None,
) -> AsyncIterator[TrioWebsocketWire]:
    """Run the engine's tasks around the body, and close the stream however that ends."""
    opening = _Opening()
    try:
        async with open_services() as services:
            services.start_soon(_run_engine, open_wire, owned, opening, what, wakes, name="websocket engine")
            wire = await opening.outcome()
            short = wire._short
            if short is not None:
                short.on_begun = partial(services.start_soon, short.write_rest, name="rest of a message")
            if settings.ping_interval_s is not None:
                services.start_soon(keep_alive, wire, settings.ping_interval_s, settings.ping_timeout_s, name="ping")
            yield wire
    finally:
        owned.close()


@final
@define(eq=False)
class _Opening:
    """The outcome of a handshake, handed from the engine's task to the body."""

    wire: TrioWebsocketWire | None = field(default=None, init=False)
    _error: TransportError | None = field(default=None, init=False)
    _known: trio.Event = field(factory=trio.Event, init=False)

    def succeed(self, wire: TrioWebsocketWire) -> None:
        self.wire = wire
        self._known.set()

    def fail(self, error: TransportError) -> None:
        if not self._known.is_set():
            self._error = error
            self._known.set()

    async def outcome(self) -> TrioWebsocketWire:
        """The wire, once it is open, or the error for which it is not."""
        await self._known.wait()
        if self.wire is None:
            raise self._error or TransportError("the engine ended without a connection")
        return self.wire


async def _run_engine(
    open_wire: Callable[[trio.Nursery], Awaitable[TrioWebsocketWire]],
    owned: OwnedStream,
    opening: _Opening,
    what: str,
    wakes: SharedWakes | None,
) -> None:
    try:
        async with trio.open_nursery() as nursery:
            owned.descriptor.on_end = nursery.cancel_scope.cancel  # rule 5
            wire = await open_wire(nursery)
            owned.descriptor.on_end = None
            owned.opened(wakes)
            owned.writes.tells_by_reading = True  # rule 10
            opening.succeed(wire)
    except BaseExceptionGroup as everything:
        failure, cancelled = everything.split(Exception)
        if failure is not None:
            await _tell_failure(failure, owned, opening, what)
        if cancelled is not None:
            raise cancelled from None
    else:
        opening.fail(cut_off(owned, what))
    finally:
        if opening.wire is not None:
            opening.wire.engine_has_ended.set()


async def _tell_failure(group: ExceptionGroup[Exception], owned: OwnedStream, opening: _Opening, what: str) -> None:
    if opening.wire is None:
        opening.fail(handshake_error(group, owned, what))
    elif opening.wire.is_crossed(first_leaf(group)):
        await opening.wire.hear_out()
    else:
        logger.exception("the WebSocket engine failed; its connection ends", exc_info=group)
        opening.wire.fail("the WebSocket engine failed")


async def keep_alive(wire: TrioWebsocketWire, interval_s: float, timeout_s: float) -> None:
    """Ping until the connection is dead, and abort it when a pong is missing."""
    while True:
        await trio.sleep(interval_s)
        with trio.move_on_after(timeout_s) as limit:
            try:
                await wire.ping()
            except trio_websocket.ConnectionClosed:
                return
        if limit.cancelled_caught:
            wire.fail(f"no pong within {timeout_s:g} s of a ping")
            return
