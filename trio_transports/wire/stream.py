"""The byte stream under an engine: owned here, so that no engine can keep it open.

Rules
1. ``abort`` is synchronous: the descriptor is gone when it returns, and whoever waits on the stream wakes.
2. A connection aborted while a write is stuck is reset: the kernel would otherwise hold the unsent bytes for minutes.
3. Whatever ends the stream (end of file, an error, closing it here) calls ``on_end``, once.
4. Before ``opened`` no more than ``HANDSHAKE_LIMIT_BYTES`` are read: a peer cannot fill memory with a handshake.
5. On plain TCP, a write that the kernel takes whole is one system call and no task switch, and a read waits first and
   reads once. trio's own stream tries to read before it waits, which nearly always fails for audio in real time, and
   yields to the scheduler on each write: together a fifth of what a bare echo costs.
"""

import os
import socket as stdlib_socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias, final

import trio
from attrs import define, field

TCPStream: TypeAlias = "trio.SocketStream | trio.SSLStream[trio.SocketStream]"

HANDSHAKE_LIMIT_BYTES: Final = 64 * 1024
READ_BYTES: Final = 16 * 1024
_RESET: Final = struct.pack("ii", 1, 0)


def raw_socket(stream: TCPStream) -> trio.socket.SocketType:
    """The socket under a plain or TLS stream."""
    return stream.transport_stream.socket if isinstance(stream, trio.SSLStream) else stream.socket


def peer_address(stream: TCPStream) -> tuple[str, int | None]:
    """Host and port at the other end; empty when it has gone already."""
    try:
        host, port, *_ = raw_socket(stream).getpeername()
    except OSError:
        return "", None
    return str(host), int(port)


@final
@define(eq=False)
class OwnedStream(trio.abc.Stream):
    """A stream whose end is known and can be forced."""

    _stream: TCPStream
    on_end: Callable[[], None] | None = None
    outlives_engine: Callable[[], bool] | None = field(default=None, init=False)
    """Whether ``aclose``, which engines call, is to leave the stream open: its owner has something to say yet."""
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

    @property
    def is_writing(self) -> bool:
        """A write is under way, or was cut off midway."""
        return self._writing

    def put_back(self, data: bytes) -> None:
        """Have ``data`` read next."""
        self._put_back = data

    def opened(self) -> None:
        """The handshake is over: what arrives now is bounded by the message limit."""
        self._is_open = True
        self.handshake_data = b""

    def __attrs_post_init__(self) -> None:
        if isinstance(self._stream, trio.SocketStream):
            self._descriptor = self._stream.socket.fileno()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._put_back:
            data, self._put_back = self._put_back, b""
            await trio.lowlevel.checkpoint()
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
        written = 0 if self._descriptor is None else self.write_now(data)
        if self._descriptor is not None and written == len(data):
            return
        self._writing = True
        try:
            await self._stream.send_all(memoryview(data)[written:])
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end()
            raise
        # Not in a finally: a cancelled write stays marked, for abort to know of (rule 2).
        self._writing = False

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
            self._end()
            raise trio.BrokenResourceError(f"the connection is broken: {exc}") from exc

    async def _read(self, descriptor: int, max_bytes: int) -> bytes:
        while True:
            if self._is_closed:
                raise trio.ClosedResourceError("this stream was closed by this side")
            await trio.lowlevel.wait_readable(descriptor)
            if self._descriptor != descriptor:  # closed since it woke: the descriptor may be another's
                continue
            try:
                return os.read(descriptor, max_bytes)
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
