"""What a connection's bytes are read by, and when: waiting first, or at a waking that is shared with others.

Rules
1. On plain TCP a read waits first and reads once. trio's own stream tries to read before it waits, which nearly always
   fails for audio in real time.
2. With a seat (``wire.wakes``) it is read at a waking that it shares with others. What fills a read whole is followed
   by another at once: who has much to say is not held back.
"""

import os
from collections.abc import Callable
from typing import Final, final

import trio
from attrs import define, field

from .descriptor import Descriptor

READ_BYTES: Final = 16 * 1024


@final
@define(eq=False)
class Reads:
    """One connection's. Each may end it: see ``Descriptor.end``."""

    _descriptor: Descriptor
    has_more: bool = field(default=False, init=False)
    """The last read was filled whole: rule 2."""
    put_back: bytes = field(default=b"", init=False, repr=False)
    """Read before everything else."""
    held: bytes = field(default=b"", init=False, repr=False)
    """Read next, once the handshake is over: an engine would lose what it is given in the midst of one."""

    # At a shared waking

    @property
    def shares_wakes(self) -> bool:
        """Whether ``hear`` may be called."""
        return self._descriptor.seat is not None and not (self.has_more or self.put_back or self.held)

    async def hear(self, take: Callable[[], bool]) -> None:
        """Have ``take`` called at each wake with something to read, until it answers True; see ``wire.wakes``."""
        seat = self._descriptor.seat
        if seat is None:
            raise ValueError("this stream shares no wakes")
        await seat.readable(take)

    def stop_hearing(self) -> None:
        """Have ``hear`` return."""
        if self._descriptor.seat is not None:
            self._descriptor.seat.wake()

    def read_at_wake(self) -> bytes | None:
        """Read once, in ``hear``; nothing at the end, and None where there was nothing to read after all."""
        descriptor = self._descriptor
        if descriptor.is_closed or descriptor.number is None:
            return b""
        try:
            data = os.read(descriptor.number, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            descriptor.end()
        self.has_more = len(data) == READ_BYTES
        return data

    # Otherwise

    def read_now(self) -> bytes:
        """Read what is there without waiting; nothing where nothing is, or can be read any more. Not for TLS."""
        descriptor = self._descriptor
        if descriptor.is_closed or descriptor.number is None:
            return b""
        try:
            return os.read(descriptor.number, READ_BYTES)
        except OSError:
            return b""

    async def read(self, number: int, max_bytes: int) -> bytes:
        """Wait for something to read, and read it; ``number`` is the descriptor's. Cancelling it loses nothing."""
        descriptor = self._descriptor
        while True:
            if descriptor.is_closed:
                raise trio.ClosedResourceError("this stream was closed by this side")
            if self.has_more:
                self.has_more = False
                await trio.lowlevel.checkpoint()
            elif descriptor.seat is None:
                await trio.lowlevel.wait_readable(number)
            else:
                await descriptor.seat.readable()
            if descriptor.number != number:  # closed since it woke: the descriptor may be another's
                continue
            try:
                data = os.read(number, max_bytes)
                self.has_more = len(data) == max_bytes and descriptor.seat is not None
                return data
            except BlockingIOError:
                continue
            except OSError as exc:
                raise trio.BrokenResourceError(f"the connection is broken: {exc}") from exc
