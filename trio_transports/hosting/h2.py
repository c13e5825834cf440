"""HTTP/2: what its streams, sharing one socket, need besides the guard on that.

Rules
1. A writer waits while its stream's buffer is full. Hypercorn lets it go on when the peer's window is empty: a peer
   that gives a stream no room would fill the memory.
2. The connection's reader never waits for room: it is the one that hears of it. What it wants to write to a full
   stream (the pong to a ping) is dropped past ``_READER_LIMIT_BYTES``.
3. Aborting a WebSocket resets its stream alone.

h2, imported here, comes with hypercorn.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from h2.errors import ErrorCodes
from h2.events import StreamReset
from h2.exceptions import ProtocolError
from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, BUFFER_LOW_WATER, BufferCompleteError, H2Protocol, StreamBuffer
from hypercorn.trio.worker_context import EventWrapper
from trio.lowlevel import ParkingLot

_READER_LIMIT_BYTES: Final = 4 * BUFFER_HIGH_WATER


class _BoundedBuffer(StreamBuffer):
    def __init__(self, is_reader: Callable[[], bool]) -> None:
        super().__init__(EventWrapper)
        self._is_reader = is_reader
        self._room = ParkingLot()

    async def push(self, data: bytes) -> None:
        if self._complete:
            raise BufferCompleteError
        is_reader = self._is_reader()
        if is_reader and len(self.buffer) >= _READER_LIMIT_BYTES:
            return
        self.buffer.extend(data)
        await self._is_empty.clear()
        while len(self.buffer) >= BUFFER_HIGH_WATER and not self._complete and not is_reader:
            await self._room.park()

    async def pop(self, max_length: int) -> bytes:
        data = await super().pop(max_length)
        if len(self.buffer) < BUFFER_LOW_WATER:
            self._room.unpark_all()
        return data

    async def close(self) -> None:
        await super().close()
        self._room.unpark_all()


def bound_stream(protocol: H2Protocol, stream_id: int, is_reader: Callable[[], bool]) -> None:
    """Give a stream that has just been created a buffer that is bounded."""
    protocol.stream_buffers[stream_id] = _BoundedBuffer(is_reader)


async def reset_stream(protocol: H2Protocol, stream_id: int) -> None:
    """End one stream at once, at both sides."""
    with suppress(ProtocolError):  # it has ended meanwhile
        protocol.connection.reset_stream(stream_id, ErrorCodes.CANCEL)
    if stream_id in protocol.stream_buffers:
        await protocol.stream_buffers[stream_id].close()
    await protocol._handle_events([StreamReset(stream_id=stream_id)])
