"""The socket of one connection: no write on it lasts for ever, and one that was cut short ends it.

Rules
1. A piece of ``_PIECE_BYTES`` that the peer does not take within the write timeout resets the connection. A slow peer
   that goes on reading is not a stalled one, however much is sent to it at once.
2. A write that is cancelled midway resets the connection: half a frame may be on the wire, nothing may follow it.
3. ``abort`` needs no waiting: tasks inside a read or write wake up. What the kernel still holds is dropped if a write
   was stuck in it, for it would be held for minutes, and else still sent.
"""

from typing import Final, final

import trio
from attrs import define, field

from ..wire.protocol import BytesLike
from ..wire.sockets import reset_socket

_PIECE_BYTES: Final = 64 * 1024


@final
@define(eq=False)
class GuardedStream(trio.abc.HalfCloseableStream):
    """A socket stream whose writes have a deadline of their own."""

    _stream: trio.SocketStream
    _write_timeout_s: float
    _is_writing: bool = field(default=False, init=False)

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
        self._is_writing = True
        try:
            with trio.move_on_after(self._write_timeout_s):
                await self._stream.send_all(piece)
                self._is_writing = False
        finally:
            if self._is_writing:
                self.abort()
        if self._is_writing:
            raise trio.BrokenResourceError(f"the peer did not read for {self._write_timeout_s:g} s")

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def abort(self) -> None:
        if self._is_writing:
            reset_socket(self._stream)
        else:
            self._stream.socket.close()
