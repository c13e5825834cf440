"""WebSocket connections straight on the stream: the lean engine, for both sides.

Rules
1. No task of its own is on a message's way: ``receive`` reads and parses in its caller, ``send`` writes in its own, as
   one system call when the kernel takes the frame whole. Such a send is a point of cancellation, not of scheduling.
2. Bytes that the kernel did not take stand in one backlog, in order; on TLS every frame goes through it. A pong that
   cannot be written joins it, and a newer pong replaces one that still waits, so a peer cannot fill memory with pings.
3. A cancelled send aborts when part of a frame may be on the stream, whichever task is writing it.
4. The keeper, the engine's one task, pings, misses pongs, and writes a backlog that no sender is writing. It never
   waits for a pong with a backlog unwritten, and counts from when the ping was.
5. What came before a violation or a Close in the same bytes is delivered; what comes after it is not. Once this side
   has said goodbye, messages are dropped as they come.
6. Before the end is told, the peer has a moment (``LINGER_S``) to be sent the Close, and after a violation to read it.
7. ``receive_each`` hands messages over where they are read, at a wake that is shared with other connections. What takes
   time is done in its own task all the same: many messages at once, an end, and whatever its caller has to wait for.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from .._nursery import open_services
from .._sleeper import Sleeper
from ..errors import ConnectionClosed, Ending, Initiator
from .answering import Admit, Plain, nothing, upgrade_as_server
from .backlog import Backlog
from .closing import LINGER_S, linger, sendable_close
from .peer import Peer
from .protocol import BytesLike, Wire
from .rfc6455 import Close, Opcode, Parser, Ping, Pong, Received, Violation, encode_close, encode_frame
from .settings import WireSettings
from .stream import OwnedStream, TCPStream, peer_address
from .upgrade import upgrade_as_client
from .wakes import SharedWakes

_AT_ONCE: Final = 4
"""How many messages of one read are handed over where they are read; the others wait for their reader (rule 7)."""
_STREAM_ERRORS: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


@final
@define(eq=False, repr=False)
class DirectWire:
    """Made by ``connect_wire`` and ``accept_wire``."""

    peer: Peer
    _stream: OwnedStream
    _parser: Parser
    _masks: bool
    _backlog: Backlog = field(init=False)
    _arrived: deque[str | bytes] = field(factory=deque, init=False)
    _keeper: Sleeper = field(factory=Sleeper, init=False)
    _is_reading: bool = field(default=False, init=False)
    _readers: ParkingLot = field(factory=ParkingLot, init=False)
    _goodbye: Ending | None = field(default=None, init=False)
    _ending: Ending | None = field(default=None, init=False)
    _awaits_pong: bool = field(default=False, init=False)
    _was_violated: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._backlog = Backlog(self._stream)

    def __repr__(self) -> str:
        return f"<DirectWire with {self.peer}>"

    async def receive(self) -> str | bytes:
        if self._arrived:  # a deadline that passes in this turn of the loop leaves nothing here
            await trio.lowlevel.checkpoint_if_cancelled()
            message = self._arrived.popleft()
            await trio.lowlevel.cancel_shielded_checkpoint()
            return message
        while not self._arrived:
            if self._ending is not None:
                await trio.lowlevel.checkpoint()
                raise self._closed()
            await self._read()
        return self._arrived.popleft()

    async def receive_several(self) -> list[str | bytes]:
        several = [await self.receive(), *self._arrived]
        self._arrived.clear()
        return several

    async def receive_each(self, take: Callable[[str | bytes], bool]) -> None:
        while True:
            if self._arrived or self._ending is not None or self._is_reading or not self._stream.reads.shares_wakes:
                if take(await self.receive()):
                    return
            elif await self._hear(take):
                return

    def alarm_s(self, due_s: float) -> float:
        return self._stream.descriptor.alarm_s(due_s)

    async def send(self, message: str | BytesLike) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._write(self._frame(message))

    def send_now(self, message: str | bytes) -> bool | None:
        if self._backlog:
            return False
        frame = self._frame(message)
        try:
            written = self._stream.writes.write_now(frame)
        except _STREAM_ERRORS as exc:
            raise self._lost() from exc
        if written == len(frame):
            return True
        if not written:
            return False
        self._backlog.append(frame[written:])
        self._keeper.wake()
        return None

    def send_several_now(self, messages: Sequence[str | bytes]) -> int:
        if self._backlog:
            return 0
        frames = [self._frame(message) for message in messages]
        try:
            written = self._stream.writes.write_now(b"".join(frames))
        except _STREAM_ERRORS as exc:
            raise self._lost() from exc
        taken = 0
        for frame in frames:
            if written <= 0:
                break
            taken += 1
            if written < len(frame):
                self._backlog.append(frame[written:])
                self._keeper.wake()
            written -= len(frame)
        return taken

    async def flushed(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._flush_or_abort()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        code, reason = sendable_close(code, reason)
        try:
            if self._ending is None and self._goodbye is None:
                self._goodbye = Ending(code, reason, "local")
                self._backlog.is_closing = True
                self._arrived.clear()
                await self._write(encode_close(code, reason, masked=self._masks))
                while self._ending is None:
                    await self._read()
        except ConnectionClosed:
            return  # it ended while goodbye was being said
        except trio.Cancelled:
            self.abort()
            raise
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        self._end(Ending(1006, "aborted", "local"))
        self._stream.abort()

    def fail(self, reason: str) -> None:
        """Record why this side ends the connection, and end it."""
        self._end(Ending(1006, reason, "error"))
        self._stream.abort()

    # Reading

    async def take_first(self, data: bytes) -> None:
        """Take what came with the handshake."""
        if data:
            self._take(data)
            if self._ending is not None:
                await self._part()

    async def _read(self) -> None:
        """Read once; or, while another task does (``receive`` and ``aclose`` may overlap), wait until it has."""
        if self._is_reading:
            await self._readers.park()
            return
        self._is_reading = True
        try:
            try:
                data = await self._stream.receive_some()
            except _STREAM_ERRORS:
                data = b""
            if data:
                self._take(data)
                if self._ending is not None:
                    await self._part()
            else:
                self._lost()
        finally:
            self._is_reading = False
            if self._readers:
                self._readers.unpark_all()

    async def _hear(self, take: Callable[[str | bytes], bool]) -> bool:
        """Have what arrives handed over; whether ``take`` was done. Rule 7."""
        is_done = has_been_ended = False
        failure: BaseException | None = None

        def heard() -> bool:
            nonlocal is_done, has_been_ended, failure
            data = self._stream.reads.read_at_wake()
            if data is None:
                return False
            if not data:
                self._lost()
                return True
            self._take(data)
            if self._ending is not None:
                has_been_ended = True
                return True
            arrived = self._arrived
            try:
                for _ in range(min(len(arrived), _AT_ONCE)):
                    if take(arrived.popleft()):
                        is_done = True
                        return True
            except BaseException as exc:  # the receiver's own, also where it looks like the stream's
                failure = exc
                return True
            # What was answered in there may have found the connection lost: then the reader tells it.
            return bool(arrived) or self._ending is not None or self._stream.reads.has_more

        self._is_reading = True
        try:
            await self._stream.reads.hear(heard)
            if has_been_ended:
                await self._part()
        except _STREAM_ERRORS:
            self._lost()
        finally:
            self._is_reading = False
            if self._readers:
                self._readers.unpark_all()
        if failure is not None:
            raise failure
        return is_done

    def _take(self, data: bytes) -> None:
        violation: Violation | None = None
        try:
            complete = self._parser.feed(data)
        except Violation as exc:
            violation, complete = exc, exc.received
        for received in complete:
            if not isinstance(received, (str, bytes)):
                self._control(received)
            elif self._goodbye is None:
                self._arrived.append(received)
        if violation is not None and self._ending is None:
            if self._goodbye is None:
                self._put(encode_close(violation.code, violation.reason, masked=self._masks))
            self._was_violated = True
            initiator: Initiator = "local" if violation.code == 1009 else "error"
            self._end(Ending(violation.code, violation.reason, initiator))

    def _control(self, received: Received) -> None:
        match received:
            case Ping(payload):
                self._pong(payload)
            case Pong():
                if self._awaits_pong:
                    self._awaits_pong = False
                    self._keeper.wake()
            case Close(code, reason):
                if self._goodbye is None:
                    echoed = 1000 if code == 1005 else code
                    self._put(encode_close(echoed, "", masked=self._masks))
                self._end(Ending(code, reason, "remote"))

    async def _part(self) -> None:
        """Rule 6, for a connection that a Close or a violation has just ended."""
        try:
            with trio.move_on_after(LINGER_S):
                await self._backlog.flush()
            if self._was_violated and not self._backlog:
                await linger(self._stream)
        except _STREAM_ERRORS:
            return
        finally:
            self._stream.abort()

    # Writing

    def _frame(self, message: str | BytesLike) -> bytes:
        if self._ending is not None or self._goodbye is not None:
            raise self._closed()
        if isinstance(message, str):
            return encode_frame(Opcode.TEXT, message.encode(), masked=self._masks)
        payload = message if isinstance(message, bytes) else bytes(message)
        return encode_frame(Opcode.BINARY, payload, masked=self._masks)

    async def _write(self, frame: bytes) -> None:
        try:
            if not self._backlog:
                written = self._stream.writes.write_now(frame)
                if written == len(frame):
                    return
                frame = frame[written:]
            self._backlog.append(frame)
        except _STREAM_ERRORS as exc:
            raise self._lost() from exc
        await self._flush_or_abort()

    async def _flush_or_abort(self) -> None:
        try:
            await self._backlog.flush()
        except _STREAM_ERRORS as exc:
            raise self._lost() from exc
        except trio.Cancelled:
            self.abort()
            raise

    def _put(self, frame: bytes) -> None:
        """Write a control frame without waiting; what the kernel does not take now the keeper writes."""
        try:
            written = 0 if self._backlog else self._stream.writes.write_now(frame)
        except _STREAM_ERRORS:
            return  # the next read tells the end
        if written < len(frame):
            self._backlog.append(frame[written:])
            self._keeper.wake()

    def _pong(self, payload: bytes) -> None:
        frame = encode_frame(Opcode.PONG, payload, masked=self._masks)
        if not self._backlog:
            self._put(frame)
        else:
            self._backlog.waiting_pong = frame

    def _end(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = self._goodbye or ending
            self._backlog.is_closing = True
            self._keeper.wake()

    def _lost(self) -> ConnectionClosed:
        # A write can find out before any read that the peer has gone; the Close it left is in the kernel's buffer yet.
        while self._ending is None and (data := self._stream.reads.read_now()):
            self._take(data)
        self._end(Ending(1006, "the connection was lost"))
        return self._closed()

    def _closed(self) -> ConnectionClosed:
        return (self._ending or self._goodbye or Ending()).error()

    # The keeper

    async def keep(self, settings: WireSettings) -> None:
        """Write what no sender writes, and see that the peer is alive, until the connection has ended."""
        interval_s, timeout_s = settings.ping_interval_s or inf, settings.ping_timeout_s
        ping_at_s, pong_by_s = trio.current_time() + interval_s, inf
        while self._ending is None or self._backlog:
            if self._backlog:
                if not await self._flushed_in_time(timeout_s):
                    return
                continue
            now_s = trio.current_time()
            if self._awaits_pong:
                if now_s >= pong_by_s:
                    self.fail(f"no pong within {timeout_s:g} s of a ping")
                    return
                pong_by_s = min(pong_by_s, now_s + timeout_s)
            elif pong_by_s < inf:
                ping_at_s, pong_by_s = now_s + interval_s, inf
            elif now_s >= ping_at_s:
                self._awaits_pong, ping_at_s = True, now_s + interval_s
                self._put(encode_frame(Opcode.PING, b"alive?", masked=self._masks))
                continue
            await self._keeper.sleep_until(pong_by_s if self._awaits_pong else ping_at_s)

    async def _flushed_in_time(self, limit_s: float) -> bool:
        """Write the backlog; a peer that takes none of it for that long, or has gone, ends the connection."""
        try:
            if await self._backlog.flush_within(limit_s):
                return True
        except _STREAM_ERRORS:
            return False  # the next read tells the end
        except trio.Cancelled:
            self.abort()
            raise
        self.fail(f"the peer took nothing for {limit_s:g} s")
        return False


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
    try:
        address, port = peer_address(stream)
        found, chosen, trailing = await upgrade_as_client(
            owned, url=url, host=host, resource=resource, headers=headers, subprotocols=subprotocols
        )
        path, _, query = resource.partition("?")
        peer = Peer(address=address, port=port, path=path, query_string=query, headers=found, subprotocol=chosen)
        wire = DirectWire(peer, owned, Parser(from_client=False, max_message_bytes=settings.max_message_bytes), True)
        owned.opened()
        await wire.take_first(trailing)
        async with open_services() as services:
            services.start_soon(wire.keep, settings, name="keeper")
            yield wire
    finally:
        owned.close()


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
    try:
        address, port = peer_address(stream)
        try:
            peer, trailing = await upgrade_as_server(
                owned, address=address, port=port, admit=admit, subprotocols=subprotocols, plain=plain
            )
        except _STREAM_ERRORS as exc:
            raise ConnectionClosed(1006, "the handshake was cut off", initiator="error") from exc
        wire = DirectWire(peer, owned, Parser(from_client=True, max_message_bytes=settings.max_message_bytes), False)
        owned.opened(wakes)
        await wire.take_first(trailing)
        async with open_services() as services:
            services.start_soon(wire.keep, settings, name="keeper")
            yield wire
    finally:
        owned.close()
