"""Two wires joined in memory: a connection without sockets, for tests and for joining parts of one process.

Rules
1. A message sent is in the peer's buffer at once. The buffer holds ``buffer_messages``; a full one holds the sender,
   as a full socket would.
2. Closing is answered by the peer's engine, not by its user: ``aclose`` needs only that the peer still reads or is
   closed, as with a real WebSocket peer that is alive. ``unresponsive`` makes a peer that never answers.
3. ``abort`` is seen by the peer as a lost connection (1006), after what was sent before it.
"""

from collections import deque
from typing import final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from ..errors import ConnectionClosed, Ending
from .peer import Peer
from .protocol import BytesLike


@final
@define(eq=False)
class MemoryWire:
    """One end; made in pairs by ``memory_wire_pair``."""

    peer: Peer
    _buffer_messages: int
    _max_message_bytes: int
    unresponsive: bool = False
    _other: "MemoryWire" = field(init=False, repr=False)
    _arrived: deque[str | bytes] = field(factory=deque, init=False)
    _goodbye: Ending | None = field(default=None, init=False)
    _ending: Ending | None = field(default=None, init=False)
    _readers: ParkingLot = field(factory=ParkingLot, init=False)
    _writers: ParkingLot = field(factory=ParkingLot, init=False)
    _acknowledged: trio.Event = field(factory=trio.Event, init=False)

    async def receive(self) -> str | bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            if self._arrived and (self._ending is None or self._ending.initiator != "local"):
                message = self._arrived.popleft()
                self._other._writers.unpark()
                await trio.lowlevel.cancel_shielded_checkpoint()
                return message
            if self._ending is not None:
                await trio.lowlevel.checkpoint()
                raise self._closed()
            await self._readers.park()

    async def send(self, message: str | BytesLike) -> None:
        whole = message if isinstance(message, str | bytes) else bytes(message)
        try:
            await trio.lowlevel.checkpoint()
            while self._ending is None and self._goodbye is None and self._other._is_full:
                await self._writers.park()
        except trio.Cancelled:
            self.abort()
            raise
        if self._ending is not None or self._goodbye is not None:
            raise self._closed()
        self._other._arrive(whole)

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        if self._ending is None and self._goodbye is None:
            self._goodbye = Ending(code, reason, "local")
            self._other._end(Ending(code, reason, "remote"))
            try:
                if self._other.unresponsive:
                    await self._acknowledged.wait()
            finally:
                self._end(self._goodbye)
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        self._acknowledged.set()
        if self._ending is None:
            self._end(self._goodbye or Ending(1006, "aborted", "local"))
            self._other._end(Ending(1006, "connection lost"))

    @property
    def _is_full(self) -> bool:
        return len(self._arrived) >= self._buffer_messages

    def _arrive(self, message: str | bytes) -> None:
        if len(message) > self._max_message_bytes:
            reason = f"message over {self._max_message_bytes} bytes"
            self._end(Ending(1009, reason, "local"))
            self._other._end(Ending(1009, reason, "remote"))
            return
        self._arrived.append(message)
        self._readers.unpark()

    def _end(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
            self._readers.unpark_all()
            self._writers.unpark_all()
            self._other._writers.unpark_all()

    def _closed(self) -> ConnectionClosed:
        return (self._ending or self._goodbye or Ending()).error()


def memory_wire_pair(
    *,
    near: Peer | None = None,
    far: Peer | None = None,
    buffer_messages: int = 64,
    max_message_bytes: int = 1024 * 1024,
) -> tuple[MemoryWire, MemoryWire]:
    """Make two connected wires. ``near`` is what the first sees as its peer, ``far`` what the second does."""
    first = MemoryWire(near or Peer(address="memory"), buffer_messages, max_message_bytes)
    second = MemoryWire(far or Peer(address="memory"), buffer_messages, max_message_bytes)
    first._other, second._other = second, first
    return first, second
