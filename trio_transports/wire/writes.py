"""How a connection's bytes are written: what the kernel takes at once, and what has to wait for the peer.

Rules
1. On plain TCP a write that the kernel takes whole is one system call and no task switch: trio's own stream yields to
   the scheduler on each.
2. With ``tells_by_reading``, a write that fails on an open plain connection fails in silence, and so does each after:
   the peer's last words may be waiting to be read, and an engine that hears of a failed write never reads them. The
   reader gets what is there, and then the end.

``GuardedWrites`` are for writers that know no deadline, as a web server's:

3. A piece of ``PIECE_BYTES`` that the peer does not take within the timeout resets the connection. A slow peer that
   goes on reading is not a stalled one, however much is sent to it at once.
4. A write that is cancelled, before it begins or midway, resets the connection: half a frame may be on the wire, and
   nothing may follow it. A second writer meanwhile is a mistake, and told so.
5. Others still get their turn: each write notices a cancellation, and every ``_WRITES_PER_TURN``-th lets them run. An
   app that writes without end to a peer that reads as fast would otherwise have the whole process to itself.
"""

import os
import socket as stdlib_socket
from typing import Final, TypeAlias, final

import trio
from attrs import define, field

from .descriptor import Descriptor

PIECE_BYTES: Final = 64 * 1024
_WRITES_PER_TURN: Final = 16

Data: TypeAlias = bytes | bytearray | memoryview


@final
@define(eq=False)
class Writes:
    """One connection's."""

    _descriptor: Descriptor
    _stream: trio.abc.SendStream
    tells_by_reading: bool = field(default=False, init=False)
    """Rule 2."""
    has_failed: bool = field(default=False, init=False)
    """A write has failed in silence."""

    def write_now(self, data: Data) -> int:
        """Write what the kernel takes without waiting; return how many bytes that was. Not for TLS."""
        descriptor = self._descriptor
        if descriptor.is_closed:
            raise trio.ClosedResourceError("this stream was closed by this side")
        if descriptor.number is None:
            return 0
        try:
            return os.write(descriptor.number, data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            if not self.tells_by_reading:
                descriptor.end()
            raise trio.BrokenResourceError(f"the connection is broken: {exc}") from exc

    async def write_rest(self, data: Data, start: int) -> None:
        """Wait for the peer to take what it has not yet; cancelling it may leave half of it written."""
        self._descriptor.is_writing = True
        await self._stream.send_all(memoryview(data)[start:])
        # Not in a finally: a cancelled write stays marked, for abort to know of.
        self._descriptor.is_writing = False

    def leaves_it_to_the_reader(self) -> bool:
        """Whether a failure is not to be told here; rule 2."""
        if not self.tells_by_reading or self._descriptor.is_closed or self._descriptor.number is None:
            return False
        self.has_failed = True
        self._descriptor.shut(stdlib_socket.SHUT_RD)  # whatever the failure was, the reader comes to an end
        return True


@final
@define(eq=False)
class GuardedWrites:
    """One connection's, where nobody else sets its writers a deadline: rules 3 to 5."""

    _descriptor: Descriptor
    _stream: trio.abc.SendStream
    _writes: Writes
    _timeout_s: float
    _count: int = field(default=0, init=False)

    async def write_pieces(self, data: Data) -> None:
        """Write what is longer than a piece."""
        with memoryview(data) as whole:
            for start in range(0, len(whole), PIECE_BYTES):
                with whole[start : start + PIECE_BYTES] as piece:
                    await self.write(piece)

    async def write(self, piece: Data) -> None:
        """Write one piece."""
        descriptor = self._descriptor
        if descriptor.is_closed:
            raise trio.ClosedResourceError("this stream was closed by this side")
        if descriptor.is_writing:
            raise trio.BusyResourceError("another task is writing to this connection")  # rule 4
        descriptor.is_writing = True
        try:
            self._count += 1
            if self._count % _WRITES_PER_TURN:
                await trio.lowlevel.checkpoint_if_cancelled()
            else:
                await trio.lowlevel.checkpoint()
            written = self._writes.write_now(piece)
            if written < len(piece):
                await self._write_rest(piece, written)
            descriptor.is_writing = False
        finally:
            if descriptor.is_writing:
                descriptor.abort()

    async def _write_rest(self, piece: Data, start: int) -> None:
        with trio.move_on_after(self._timeout_s), memoryview(piece) as whole, whole[start:] as rest:
            await self._stream.send_all(rest)
            return
        raise trio.BrokenResourceError(f"the peer did not read for {self._timeout_s:g} s")  # rule 3
