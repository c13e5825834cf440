"""What waits to be written, in the order in which it goes.

Rules
1. Replies go before urgent messages, and those before paced ones; each kind keeps its order.
2. Paced messages wait here only as long as a write takes: ``PACED_LIMIT`` of them at most.
3. ``URGENT_LIMIT`` urgent messages may wait, or ``URGENT_BYTES`` of them; then whoever sends one waits. The session's
   own few always fit.
4. ``REPLY_LIMIT`` answers of the dialect's own may wait; then the peer's next message is not read before one has left.
   Answers belong to the connection on which they are owed: a new one starts with none.
5. So each kind is short, and a list: an empty deque takes ten times as much memory, in every session that is held.
"""

from collections.abc import Callable, Sequence
from sys import getsizeof
from typing import Final, final

import trio
from attrs import define, field, frozen
from trio.lowlevel import ParkingLot

from ..errors import ConnectionClosed
from ..serializers.protocol import Message

PACED_LIMIT: Final = 4
URGENT_LIMIT: Final = 256
URGENT_BYTES: Final = 4 * 1024 * 1024
REPLY_LIMIT: Final = 64


@final
@frozen
class Paced:
    """A message whose time has come, waiting for the write before it."""

    message: Message
    written: Callable[[int], None]
    covers: int
    is_kept: bool = False
    """An interruption leaves it where it is."""
    is_filling: bool = False
    """Nobody queued it, so nobody waits for it: silence, or a mixer's bed alone."""
    lost: Callable[[], object] | None = None
    """Called, in place of ``written``, if its wire goes while it is being written."""


@final
@define(eq=False)
class Lanes:
    """Owned by one outbox."""

    replies: list[Message] = field(factory=list, init=False)
    urgent: list[Message] = field(factory=list, init=False)
    paced: list[Paced] = field(factory=list, init=False)
    _reply_room: ParkingLot = field(factory=ParkingLot, init=False)
    _urgent_room: ParkingLot = field(factory=ParkingLot, init=False)

    def next(self) -> Message | Paced | None:
        """Take what goes next."""
        if self.replies:
            self._reply_room.unpark()
            return self.replies.pop(0)
        if self.urgent:
            self._urgent_room.unpark()
            return self.urgent.pop(0)
        return self.paced.pop(0) if self.paced else None

    def put_first(self, messages: Sequence[Message]) -> None:
        """Put messages ahead of the urgent ones; what already waits there in the same words is not said twice."""
        for message in reversed(messages):
            if message not in self.urgent:
                self.urgent.insert(0, message)

    async def room_for_urgent(self, closed: Callable[[], ConnectionClosed | None]) -> None:
        """Wait while too many urgent messages are unsent; raise what ``closed`` gives."""
        await trio.lowlevel.checkpoint()
        while self._urgent_is_full and closed() is None:
            await self._urgent_room.park()
        error = closed()
        if error is not None:
            raise error

    @property
    def _urgent_is_full(self) -> bool:
        waiting = self.urgent
        return len(waiting) >= URGENT_LIMIT or (len(waiting) > 1 and sum(map(getsizeof, waiting)) >= URGENT_BYTES)

    async def room_for_replies(self, is_worth_it: Callable[[], bool]) -> None:
        """Wait while ``REPLY_LIMIT`` answers are unwritten and can still be."""
        while len(self.replies) >= REPLY_LIMIT and is_worth_it():
            await self._reply_room.park()

    def drop_paced(self) -> list[Paced]:
        """Drop what was handed over and is not being written yet; return it."""
        dropped = list(self.paced)
        self.paced.clear()
        return dropped

    def interrupt(self) -> list[Paced]:
        """Drop what was handed over but for what is to be said to its end; return it."""
        dropped = [paced for paced in self.paced if not paced.is_kept]
        if dropped:
            kept = [paced for paced in self.paced if paced.is_kept]
            self.paced.clear()
            self.paced.extend(kept)
        return dropped

    def drop_replies(self) -> None:
        """Forget what the dialect owed: the peer that asked is gone."""
        self.replies.clear()
        self._reply_room.unpark_all()

    def wake(self) -> None:
        """Let everybody who waits for room see how things stand."""
        self._reply_room.unpark_all()
        self._urgent_room.unpark_all()
