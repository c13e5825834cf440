"""What the kernel has not taken yet of a connection's frames, in order, and who writes it.

Rules
1. One task writes at a time; others that wait for it to be written wait for that one.
2. A pong that has to wait is replaced by a newer one, so a peer cannot fill memory with pings. Nothing follows a Close.
3. A write that is cancelled midway aborts the stream: whoever comes next must not begin anew what may be half written.
4. Of a backlog ``_PIECE_BYTES`` are written at a time: that a peer takes it slowly is seen by the piece.
"""

from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from .stream import OwnedStream

_PIECE_BYTES: Final = 16 * 1024


@final
@define(eq=False)
class Backlog:
    """One connection's. It is true while something waits."""

    _stream: OwnedStream
    _frames: list[bytes] = field(factory=list, init=False)
    waiting_pong: bytes | None = field(default=None, init=False)
    """To be written after all else; rule 2."""
    is_closing: bool = field(default=False, init=False)
    """A Close has been said: no pong comes after it."""
    _is_flushing: bool = field(default=False, init=False)
    _flushed: ParkingLot = field(factory=ParkingLot, init=False)
    _patience: trio.CancelScope | None = field(default=None, init=False)
    """Of whoever waits with a limit; each piece that the peer takes renews it."""
    _patience_s: float = field(default=0, init=False)

    def __bool__(self) -> bool:
        return bool(self._frames)

    def append(self, frame: bytes) -> None:
        self._frames.append(frame)

    async def flush(self) -> None:
        """Write all of it, or wait for the task that does."""
        while self._frames:
            if self._is_flushing:
                await self._flushed.park()
                continue
            self._is_flushing = True
            try:
                await self._write_first(self._frames[0])
                del self._frames[0]
                if not self._frames and self.waiting_pong is not None:
                    if not self.is_closing:
                        self._frames.append(self.waiting_pong)
                    self.waiting_pong = None
            except trio.Cancelled:
                self._stream.abort()  # rule 3
                raise
            finally:
                self._is_flushing = False
                self._flushed.unpark_all()

    async def flush_within(self, limit_s: float) -> bool:
        """Write all of it, if the peer takes a piece within that time, and each after."""
        self._patience_s = limit_s
        try:
            with trio.move_on_after(limit_s) as self._patience:
                await self.flush()
                return True
        finally:
            self._patience = None
        return False

    async def _write_first(self, frame: bytes) -> None:
        for start in range(0, len(frame), _PIECE_BYTES):
            await self._stream.send_all(frame[start : start + _PIECE_BYTES])
            if self._patience is not None:
                self._patience.deadline = trio.current_time() + self._patience_s
