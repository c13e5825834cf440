"""The socket of one connection: no write on it lasts for ever, and one that was cut short ends it.

Rules
1. A piece of ``_PIECE_BYTES`` that the peer does not take within the write timeout resets the connection. A slow peer
   that goes on reading is not a stalled one, however much is sent to it at once.
2. A write that is cancelled midway resets the connection: half a frame may be on the wire, nothing may follow it.
3. ``abort`` needs no waiting: tasks inside a read or write wake up. What the kernel still holds is dropped if a write
   was stuck in it, for it would be held for minutes, and else still sent.
4. A write that the kernel takes whole is one system call, with neither timer nor task switch, and a read waits first
   and reads once: trio's own stream tries to read before it waits, which nearly always fails for audio in real time.
5. Others still get their turn: each write notices a cancellation, and every ``_WRITES_PER_TURN``-th lets them run. An
   app that writes without end to a peer that reads as fast would otherwise have the whole process to itself.
6. A descriptor is asked for at each use, also after waiting: a closed one may be somebody else's by then.
"""

import os
from typing import Final, final

import trio
from attrs import define, field

from ..wire.protocol import BytesLike
from ..wire.sockets import reset_socket

_PIECE_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 64 * 1024
_WRITES_PER_TURN: Final = 16


@final
@define(eq=False)
class GuardedStream(trio.abc.HalfCloseableStream):
    """A socket stream whose writes have a deadline of their own."""

    _stream: trio.SocketStream
    _write_timeout_s: float
    _is_writing: bool = field(default=False, init=False)
    """Stays set by a write that was cut short, for ``abort`` to know of (rule 3)."""
    _writes: int = field(default=0, init=False)

    @property
    def socket(self) -> trio.socket.SocketType:
        return self._stream.socket

    async def send_all(self, data: BytesLike) -> None:
        if len(data) <= _PIECE_BYTES:
            await self._send_piece(data)
            return
        with memoryview(data) as whole:
            for start in range(0, len(whole), _PIECE_BYTES):
                with whole[start : start + _PIECE_BYTES] as piece:
                    await self._send_piece(piece)

    async def _send_piece(self, piece: BytesLike) -> None:
        self._descriptor()
        if self._is_writing:
            raise trio.BusyResourceError("another task is writing to this connection")
        self._is_writing = True
        try:
            self._writes += 1
            if self._writes % _WRITES_PER_TURN:
                await trio.lowlevel.checkpoint_if_cancelled()
            else:
                await trio.lowlevel.checkpoint()
            written = self._write(piece)
            if written < len(piece):
                await self._send_rest(piece, written)
            self._is_writing = False
        finally:
            if self._is_writing:
                self.abort()

    def _write(self, piece: BytesLike) -> int:
        try:
            return os.write(self._descriptor(), piece)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise trio.BrokenResourceError(f"the connection is broken: {exc}") from exc

    async def _send_rest(self, piece: BytesLike, start: int) -> None:
        with trio.move_on_after(self._write_timeout_s), memoryview(piece) as whole, whole[start:] as rest:
            await self._stream.send_all(rest)
            return
        raise trio.BrokenResourceError(f"the peer did not read for {self._write_timeout_s:g} s")

    def _descriptor(self) -> int:
        descriptor = self._stream.socket.fileno()
        if descriptor < 0:
            raise trio.ClosedResourceError("this connection was closed by this side")
        return descriptor

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._descriptor())
            try:
                return os.read(self._descriptor(), max_bytes or _READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as exc:
                raise trio.BrokenResourceError(f"the connection is broken: {exc}") from exc

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def abort(self) -> None:
        if self._is_writing:
            reset_socket(self._stream)
        else:
            self._stream.socket.close()
