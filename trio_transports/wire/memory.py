"""Two wires joined in memory: a connection without sockets, for tests and for joining parts of one process.

Rules
1. A message sent is in the peer's buffer at once. The buffer holds ``buffer_messages``; a full one holds the sender,
   as a full socket would.
2. Closing is answered by the peer's engine, not by its user: ``aclose`` needs only that the peer still reads or is
   closed, as with a real WebSocket peer that is alive. ``unresponsive`` makes a peer that never answers.
3. ``abort`` is seen by the peer as a lost connection (1006), after what was sent before it.
4. With ``sends_now`` the wires offer what the lean engine does: a message that finds room is written at once. One that
   finds none is begun, and arrives as soon as the peer has read; the next ones have to wait for that. Several at once
   are sent and received likewise.
"""

from collections import deque
from collections.abc import Sequence
from typing import final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from .._documented import documented
from ..errors import ConnectionClosed, Ending
from .peer import Peer
from .protocol import BytesLike


@documented
@define(eq=False)
class MemoryWire:
    """One end; made in pairs by ``memory_wire_pair``."""

    peer: Peer
    """Who is at the other end."""
    _buffer_messages: int
    """How many messages the other end may leave unread; then ``send`` waits."""
    _max_message_bytes: int
    """The longest message, in bytes; a longer one ends the connection with 1009."""
    unresponsive: bool = False
    """Set it to have this end answer no goodbye, as a peer that hangs."""
    _other: "MemoryWire" = field(init=False, repr=False)
    _arrived: deque[str | bytes] = field(factory=deque, init=False)
    _goodbye: Ending | None = field(default=None, init=False)
    _ending: Ending | None = field(default=None, init=False)
    _begun: str | bytes | None = field(default=None, init=False)
    """What ``send_now`` has begun and the peer's buffer had no room for; rule 4."""
    _readers: ParkingLot = field(factory=ParkingLot, init=False)
    _writers: ParkingLot = field(factory=ParkingLot, init=False)
    _acknowledged: trio.Event = field(factory=trio.Event, init=False)

    async def receive(self) -> str | bytes:
        """Wait for the next message; ``ConnectionClosed`` once it has ended and all was read."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            if self._arrived:
                message = self._arrived.popleft()
                self._other._has_room()
                await trio.lowlevel.cancel_shielded_checkpoint()
                return message
            if self._ending is not None:
                await trio.lowlevel.checkpoint()
                raise self._closed()
            await self._readers.park()

    async def send(self, message: str | BytesLike) -> None:
        """Write one message."""
        whole = message if isinstance(message, str | bytes) else bytes(message)
        try:
            await trio.lowlevel.checkpoint()
            while self._is_open and (self._begun is not None or self._other._is_full):
                await self._writers.park()
        except trio.Cancelled:
            self.abort()
            raise
        if not self._is_open:
            raise self._closed()
        self._other._arrive(whole)

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye and wait for the other end's.

        ``code`` and ``reason`` are what the other end is told in the close frame.
        """
        await self._flush()
        if self._is_open:
            self._goodbye = Ending(code, reason, "local")
            self._other._end(Ending(code, reason, "remote"))
            try:
                if self._other.unresponsive:
                    await self._acknowledged.wait()
            finally:
                self._leave(self._goodbye)
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """End the connection at once."""
        self._acknowledged.set()
        if self._ending is None:
            self._leave(self._goodbye or Ending(1006, "aborted", "local"))
            self._other._end(Ending(1006, "connection lost"))

    @property
    def _is_open(self) -> bool:
        return self._ending is None and self._goodbye is None

    async def _flush(self) -> None:
        """Wait until what was begun has arrived, or cannot any more. Cancelled, half of it may be there: abort."""
        try:
            while self._begun is not None and self._is_open:
                await self._writers.park()
        except trio.Cancelled:
            self.abort()
            raise

    def _has_room(self) -> None:
        """The peer has read a message."""
        if self._begun is not None and self._is_open:
            begun, self._begun = self._begun, None
            self._other._arrive(begun)
            self._writers.unpark_all()
        else:
            self._writers.unpark()

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

    def _leave(self, ending: Ending) -> None:
        """End it from here: nobody will read what has arrived."""
        if self._ending is None:
            self._arrived.clear()
        self._end(ending)

    def _end(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
            self._readers.unpark_all()
            self._writers.unpark_all()

    def _closed(self) -> ConnectionClosed:
        return (self._ending or self._goodbye or Ending()).error()


@final
@define(eq=False)
class LeanMemoryWire(MemoryWire):
    """One end that can also write without a task that waits; rule 4."""

    def send_now(self, message: str | bytes) -> bool | None:
        if not self._is_open:
            raise self._closed()
        if self._begun is not None:
            return False
        if self._other._is_full:
            self._begun = message
            return None
        self._other._arrive(message)
        return True

    def send_several_now(self, messages: Sequence[str | bytes]) -> int:
        for taken, message in enumerate(messages):
            if taken and not self._is_open:
                return taken  # the one before was too large: it ended the connection, and is written all the same
            done = self.send_now(message)
            if done is not True:
                return taken + (done is None)
        return len(messages)

    async def receive_several(self) -> list[str | bytes]:
        several = [await self.receive()]
        while self._arrived:
            several.append(self._arrived.popleft())
            self._other._has_room()
        return several

    async def flushed(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._flush()
        if not self._is_open:
            raise self._closed()


def memory_wire_pair(
    *,
    near: Peer | None = None,
    far: Peer | None = None,
    buffer_messages: int = 64,
    max_message_bytes: int = 1024 * 1024,
    sends_now: bool = False,
) -> tuple[MemoryWire, MemoryWire]:
    """Make two connected wires. ``near`` is what the first sees as its peer, ``far`` what the second does.

    ``buffer_messages`` may be under way each way before a sender waits; a message longer than ``max_message_bytes``
    closes the connection. ``sends_now`` lets a session write as on the lean engine.
    """
    kind = LeanMemoryWire if sends_now else MemoryWire
    first = kind(near or Peer(address="memory"), buffer_messages, max_message_bytes)
    second = kind(far or Peer(address="memory"), buffer_messages, max_message_bytes)
    first._other, second._other = second, first
    return first, second
