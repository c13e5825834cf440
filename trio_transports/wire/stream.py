"""The byte stream under an engine or a server: owned here, so that neither can keep it open or be kept by it.

Rules
1. ``abort`` is synchronous: the descriptor is gone when it returns, and whoever waits on the stream wakes.
2. A connection aborted while a write is stuck is reset: the kernel would otherwise hold the unsent bytes for minutes.
   What the kernel has taken of whole writes is still sent.
3. Whatever ends the stream (end of file, an error, closing it here) calls ``on_end``, once.
4. Before ``opened`` no more than ``HANDSHAKE_LIMIT_BYTES`` are read: a peer cannot fill memory with a handshake.
5. On plain TCP, a write that the kernel takes whole is one system call and no task switch, and a read waits first and
   reads once. trio's own stream tries to read before it waits, which nearly always fails for audio in real time, and
   yields to the scheduler on each write: together a fifth of what a bare echo costs.
6. A descriptor that was closed here is never used again, also not by a reader that woke before: it may be somebody
   else's by then.
7. With ``tells_by_reading``, a write that fails on an open plain connection fails in silence, and so does each after:
   the peer's last words may be waiting to be read, and an engine that hears of a failed write never reads them. The
   reader gets what is there, and then the end.
8. With a ``seat`` (``wire.wakes``) it is read at a waking that it shares with others. What fills a read whole is
   followed by another at once: who has much to say is not held back.

With ``write_timeout_s`` the stream guards writers that know no deadline, as a web server's:

9. A piece of ``PIECE_BYTES`` that the peer does not take within that time resets the connection. A slow peer that goes
   on reading is not a stalled one, however much is sent to it at once.
10. A write that is cancelled, before it begins or midway, resets the connection: half a frame may be on the wire, and
   nothing may follow it. A second writer meanwhile is a mistake, and told so.
11. Others still get their turn: each write notices a cancellation, and every ``_WRITES_PER_TURN``-th lets them run. An
   app that writes without end to a peer that reads as fast would otherwise have the whole process to itself.
"""

import os
import socket as stdlib_socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias, final

import trio
from attrs import define, field

from .wakes import Seat, SharedWakes

TCPStream: TypeAlias = "trio.SocketStream | trio.SSLStream[trio.SocketStream]"

HANDSHAKE_LIMIT_BYTES: Final = 64 * 1024
READ_BYTES: Final = 16 * 1024
PIECE_BYTES: Final = 64 * 1024
_WRITES_PER_TURN: Final = 16
_RESET: Final = struct.pack("ii", 1, 0)


def raw_socket(stream: TCPStream) -> trio.socket.SocketType:
    """The socket under a plain or TLS stream."""
    return stream.transport_stream.socket if isinstance(stream, trio.SSLStream) else stream.socket


def peer_address(stream: TCPStream) -> tuple[str, int | None]:
    """Host and port at the other end; empty when it has gone already, and of a Unix socket, which has neither."""
    try:
        name = raw_socket(stream).getpeername()
    except OSError:
        return "", None
    if not isinstance(name, tuple):
        return "", None
    host, port, *_ = name
    return str(host), int(port)


async def first_word(stream: TCPStream) -> None:
    """Wait until the peer has said something, or has gone; nothing is read."""
    try:
        await trio.lowlevel.wait_readable(raw_socket(stream))
    except (OSError, ValueError) as exc:
        raise trio.ClosedResourceError("this stream was closed by this side") from exc


def is_secured(stream: TCPStream) -> bool:
    """Whether its TLS handshake is done, or it needs none."""
    if isinstance(stream, trio.SSLStream):
        try:
            stream.cipher()
        except trio.NeedHandshakeError:
            return False
    return True


@final
@define(eq=False)
class OwnedStream(trio.abc.Stream):
    """A stream whose end is known and can be forced."""

    _stream: TCPStream
    on_end: Callable[[], None] | None = None
    _write_timeout_s: float | None = field(default=None, kw_only=True)
    _writes: int = field(default=0, init=False)
    outlives_engine: Callable[[], bool] | None = field(default=None, init=False)
    """Whether ``aclose``, which engines call, is to leave the stream open: its owner has something to say yet."""
    tells_by_reading: bool = field(default=False, init=False)
    has_failed: bool = field(default=False, init=False)
    """A write has failed in silence (rule 7)."""
    _descriptor: int | None = field(default=None, init=False)
    """Of a plain TCP stream; never used after ``close``, when it may be somebody else's."""
    _writing: bool = field(default=False, init=False)
    _is_closed: bool = field(default=False, init=False)
    _has_ended: bool = field(default=False, init=False)
    handshake_data: bytes = field(default=b"", init=False, repr=False)
    """What was received before ``opened``: an answer that the engine could not read may still say something."""
    _is_open: bool = field(default=False, init=False)
    _put_back: bytes = field(default=b"", init=False, repr=False)
    """Read before everything else."""
    _seat: Seat | None = field(default=None, init=False)
    has_more: bool = field(default=False, init=False)
    """The last read was filled whole: rule 8."""

    @property
    def socket(self) -> trio.socket.SocketType:
        return raw_socket(self._stream)

    @property
    def is_writing(self) -> bool:
        """A write is under way, or was cut off midway."""
        return self._writing

    def put_back(self, data: bytes) -> None:
        """Have ``data`` read next."""
        self._put_back = data

    @property
    def shares_wakes(self) -> bool:
        """Whether ``hear`` may be called."""
        return self._seat is not None and not self.has_more and not self._put_back

    def alarm_s(self, due_s: float) -> float:
        """When to wake for what is due then, and may leave a little earlier; see ``wire.wakes``."""
        return due_s if self._seat is None else self._seat.alarm_s(due_s)

    def opened(self, wakes: SharedWakes | None = None) -> None:
        """The handshake is over: what arrives now is bounded by the message limit, and read at shared wakes."""
        self._is_open = True
        self.handshake_data = b""
        if wakes is not None and self._descriptor is not None and not self._is_closed:
            self._seat = wakes.seat(self._descriptor)

    def __attrs_post_init__(self) -> None:
        if isinstance(self._stream, trio.SocketStream):
            self._descriptor = self._stream.socket.fileno()

    async def first_word(self) -> None:
        await first_word(self._stream)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._put_back:
            await trio.lowlevel.checkpoint()  # before they are taken: cancelled here, none is lost
            data, self._put_back = self._put_back, b""
            return data
        try:
            if self._descriptor is None:
                data = bytes(await self._stream.receive_some(max_bytes))
            else:
                data = await self._read(self._descriptor, max_bytes or READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end()
            raise
        if not data:
            self._end()
        elif not self._is_open:
            self.handshake_data += data
            if len(self.handshake_data) > HANDSHAKE_LIMIT_BYTES:
                self.abort()
                raise trio.BrokenResourceError(f"the handshake took more than {HANDSHAKE_LIMIT_BYTES} bytes")
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._write_timeout_s is not None:
            if len(data) <= PIECE_BYTES:
                await self._send_guarded(data, self._write_timeout_s)
            else:
                await self._send_pieces(data, self._write_timeout_s)
            return
        if self.has_failed:
            await trio.lowlevel.checkpoint()
            return
        try:
            written = 0 if self._descriptor is None else self.write_now(data)
            if self._descriptor is not None and written == len(data):
                return
            self._writing = True
            await self._stream.send_all(memoryview(data)[written:])
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            if self._leaves_it_to_the_reader():
                return
            self._end()
            raise
        # Not in a finally: a cancelled write stays marked, for abort to know of (rule 2).
        self._writing = False

    async def _send_pieces(self, data: bytes | bytearray | memoryview, timeout_s: float) -> None:
        with memoryview(data) as whole:
            for start in range(0, len(whole), PIECE_BYTES):
                with whole[start : start + PIECE_BYTES] as piece:
                    await self._send_guarded(piece, timeout_s)

    async def _send_guarded(self, piece: bytes | bytearray | memoryview, timeout_s: float) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this stream was closed by this side")
        if self._writing:
            raise trio.BusyResourceError("another task is writing to this connection")  # rule 10
        self._writing = True
        try:
            self._writes += 1
            if self._writes % _WRITES_PER_TURN:
                await trio.lowlevel.checkpoint_if_cancelled()
            else:
                await trio.lowlevel.checkpoint()
            written = self.write_now(piece)
            if written < len(piece):
                await self._send_rest(piece, written, timeout_s)
            self._writing = False
        finally:
            if self._writing:
                self.abort()

    async def _send_rest(self, piece: bytes | bytearray | memoryview, start: int, timeout_s: float) -> None:
        with trio.move_on_after(timeout_s), memoryview(piece) as whole, whole[start:] as rest:
            await self._stream.send_all(rest)
            return
        raise trio.BrokenResourceError(f"the peer did not read for {timeout_s:g} s")  # rule 9

    def write_now(self, data: bytes | bytearray | memoryview) -> int:
        """Write what the kernel takes without waiting; return how many bytes that was. Not for TLS."""
        if self._is_closed:
            raise trio.ClosedResourceError("this stream was closed by this side")
        if self._descriptor is None:
            return 0
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            if not self.tells_by_reading:
                self._end()
            raise trio.BrokenResourceError(f"the connection is broken: {exc}") from exc

    def _leaves_it_to_the_reader(self) -> bool:
        """Rule 7."""
        if not self.tells_by_reading or self._is_closed or self._descriptor is None:
            return False
        self.has_failed = True
        with suppress(OSError):  # whatever the failure was, the reader comes to an end
            raw_socket(self._stream).shutdown(stdlib_socket.SHUT_RD)
        return True

    def read_now(self) -> bytes:
        """Read what is there without waiting; nothing where nothing is, or can be read any more. Not for TLS."""
        if self._is_closed or self._descriptor is None:
            return b""
        try:
            return os.read(self._descriptor, READ_BYTES)
        except OSError:
            return b""

    async def hear(self, take: Callable[[], bool]) -> None:
        """Have ``take`` called at each wake with something to read, until it answers True; see ``wire.wakes``."""
        if self._seat is None:
            raise ValueError("this stream shares no wakes")
        await self._seat.readable(take)

    def stop_hearing(self) -> None:
        """Have ``hear`` return."""
        if self._seat is not None:
            self._seat.wake()

    def read_at_wake(self) -> bytes | None:
        """Read once, in ``hear``; nothing at the end, and None where there was nothing to read after all."""
        if self._is_closed or self._descriptor is None:
            return b""
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self._end()
        self.has_more = len(data) == READ_BYTES
        return data

    async def _read(self, descriptor: int, max_bytes: int) -> bytes:
        while True:
            if self._is_closed:
                raise trio.ClosedResourceError("this stream was closed by this side")
            if self.has_more:
                self.has_more = False
                await trio.lowlevel.checkpoint()
            elif self._seat is None:
                await trio.lowlevel.wait_readable(descriptor)
            else:
                await self._seat.readable()
            if self._descriptor != descriptor:  # closed since it woke: the descriptor may be another's
                continue
            try:
                data = os.read(descriptor, max_bytes)
                self.has_more = len(data) == max_bytes and self._seat is not None
                return data
            except BlockingIOError:
                continue
            except OSError as exc:
                raise trio.BrokenResourceError(f"the connection is broken: {exc}") from exc

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    def shut_writing(self) -> None:
        """Tell the peer that no more will come."""
        with suppress(OSError, trio.ClosedResourceError):
            raw_socket(self._stream).shutdown(stdlib_socket.SHUT_WR)

    async def aclose(self) -> None:
        if self.outlives_engine is None or not self.outlives_engine():
            self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close without ceremony; bytes already written still reach the peer."""
        self._is_closed = True
        if self._descriptor is not None:
            self._descriptor = -1
        if self._seat is not None:
            self._seat.leave()
        raw_socket(self._stream).close()
        self._end()

    def abort(self) -> None:
        raw = raw_socket(self._stream)
        if self._writing:
            with suppress(OSError):
                raw.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, _RESET)
        self.close()

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            if self.on_end is not None:
                self.on_end()
