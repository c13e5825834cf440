"""The outbox, the only writer of the wire: a short queue, and the send task that waits where a write has to.

Rules
1. Replies go before urgent messages, and those before paced ones; each kind keeps its order. Replies belong to the
   connection on which they are owed: a new one starts with none.
2. Paced messages wait here only as long as a write takes: the clock hands over while ``has_room``, and is poked when
   there is room again. So an interruption finds nearly everything still on this side of the wire.
3. Every write has a deadline. A write that passes it, or is cancelled midway, aborts the wire: half a message may be on
   it, and nothing may follow.
4. The deadline is one scope, set between writes too, that moves at most once in a tenth of ``send_timeout``: setting
   it for each write would cost more than all else here. Fired without a write under way it means nothing.
5. Goodbye is the task's last act, so that nothing can come after it. From the moment it is asked for, all that is left
   to write shares one deadline, ``close_timeout``.
"""

from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, final

import trio
from attrs import define, field, frozen
from trio.lowlevel import ParkingLot

from ..errors import ConnectionClosed
from ..serializers.protocol import Message
from ..wire.protocol import SendsNow, Wire
from .sleeper import Sleeper
from .statistics import Counters

PACED_LIMIT: Final = 4
URGENT_LIMIT: Final = 256
REPLY_LIMIT: Final = 64
"""So many answers may be unwritten; then the peer's next message is not read before one of them has left."""


@final
@frozen
class Paced:
    """A message whose time has come, waiting for the write before it."""

    message: Message
    written: Callable[[int], None]
    covers: int


@final
@define(eq=False)
class Outbox:
    """Owned by one session; ``run`` is its send task."""

    _counters: Counters
    _send_timeout_s: float
    _close_timeout_s: float
    _wire: Wire | None
    _on_room: Callable[[], None]
    _on_written: Callable[[], None]
    _writes_now: Callable[[Message], bool | None] | None = field(default=None, init=False)
    _begun: Paced | None = field(default=None, init=False)
    """Written in part by ``put``; the send task waits for the rest."""
    _replies: deque[Message] = field(factory=deque, init=False)
    _urgent: deque[Message] = field(factory=deque, init=False)
    _paced: deque[Paced] = field(factory=deque, init=False)
    _goodbye: tuple[int, str] | None = field(default=None, init=False)
    _idle: Sleeper = field(factory=Sleeper, init=False)
    _reply_room: ParkingLot = field(factory=ParkingLot, init=False)
    _urgent_room: ParkingLot = field(factory=ParkingLot, init=False)
    _clock_waits: bool = field(default=False, init=False)
    _deadline: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _goodbye_until_s: float = field(default=inf, init=False)
    is_writing: bool = field(default=False, init=False)
    is_stuck: bool = field(default=False, init=False)
    """The last write passed its deadline, and the wire was aborted for it."""

    def __attrs_post_init__(self) -> None:
        self._use(self._wire)

    def has_room(self) -> bool:
        """Whether the clock may hand over; when not, it is poked as soon as it may."""
        if self._wire is not None and len(self._paced) < PACED_LIMIT:
            return True
        self._clock_waits = True
        return False

    def put(self, message: Message, written: Callable[[int], None], covers: int) -> None:
        """Take a message over, and call ``written(covers)`` once it is on the wire.

        On a wire that can, it is written here and now, if nothing else waits or is being written.
        """
        if self._writes_now is not None and self._goodbye is None and self.is_empty:
            try:
                is_written = self._writes_now(message)
            except ConnectionClosed:
                self._use(None)
                return  # the receive task tells the end, and with it what was not written
            if is_written:
                self._count(message)
                written(covers)
                self._on_written()
                return
            if is_written is None:
                self._begun = Paced(message, written, covers)
                self.is_writing = True
                self._idle.wake()
                return
        self._paced.append(Paced(message, written, covers))
        self._idle.wake()

    def wrote_nothing(self) -> None:
        """Something left the queue without a message: those who wait for an empty queue may look."""
        self._on_written()

    @property
    def is_empty(self) -> bool:
        return not (self._paced or self._urgent or self._replies or self.is_writing)

    def put_replies(self, messages: Sequence[Message]) -> None:
        """Put the dialect's own answers behind earlier ones and ahead of all else; without a wire they have no peer."""
        if messages and self._wire is not None:
            self._replies.extend(messages)
            self._idle.wake()

    @property
    def owes_much(self) -> bool:
        """Whether ``room_for_replies`` would wait."""
        return len(self._replies) >= REPLY_LIMIT and self._wire is not None and self._goodbye is None

    async def room_for_replies(self) -> None:
        """Wait while ``REPLY_LIMIT`` answers are unwritten: for ``send_timeout`` at most, as any write may."""
        while self.owes_much:
            await self._reply_room.park()

    def put_first(self, messages: Sequence[Message]) -> None:
        """Put messages ahead of everything; what already waits there in the same words is not said twice."""
        for message in reversed(messages):
            if message not in self._urgent:
                self._urgent.appendleft(message)
        self._idle.wake()

    async def put_urgent(self, messages: Sequence[Message], closed: Callable[[], ConnectionClosed | None]) -> None:
        """Queue messages behind earlier urgent ones, waiting while ``URGENT_LIMIT`` of them are unsent."""
        await trio.lowlevel.checkpoint()
        while len(self._urgent) >= URGENT_LIMIT and closed() is None:
            await self._urgent_room.park()
        error = closed()
        if error is not None:
            raise error
        self._urgent.extend(messages)
        self._idle.wake()

    def put_last(self, messages: Sequence[Message]) -> None:
        """Queue a message of the session's own behind the urgent ones; of these there are few, so it never waits."""
        self._urgent.extend(messages)
        self._idle.wake()

    def drop_paced(self) -> list[Paced]:
        """Drop what was handed over and is not being written yet; return it."""
        dropped = list(self._paced)
        self._paced.clear()
        return dropped

    def say_goodbye(self, code: int, reason: str) -> None:
        """Close the wire after the urgent messages and what was handed over; the send task ends with it."""
        if self._goodbye is None:
            self._goodbye = (code, reason)
            self._goodbye_until_s = trio.current_time() + self._close_timeout_s
            self._deadline.deadline = min(self._deadline.deadline, self._goodbye_until_s)
            self._reply_room.unpark_all()
            self._idle.wake()

    def attach(self, wire: Wire | None) -> None:
        """Write to this wire from now on; None: there is none at the moment."""
        self._use(wire)
        self.is_stuck = False
        self.wake()

    def wake(self) -> None:
        self._idle.wake()
        self._urgent_room.unpark_all()
        self._poke_clock()

    def _use(self, wire: Wire | None) -> None:
        self._wire = wire
        self._replies.clear()
        self._reply_room.unpark_all()
        self._begun = None
        self.is_writing = False
        self._writes_now = wire.send_now if isinstance(wire, SendsNow) else None

    def _count(self, message: Message) -> None:
        self._counters.messages_sent += 1
        self._counters.bytes_sent += len(message)

    async def run(self) -> None:
        while True:
            with self._deadline:
                await self._write_until_goodbye()
            if not self._deadline.cancelled_caught:
                return
            wrote_too_long = self.is_writing
            said_goodbye_too_long = trio.current_time() >= self._goodbye_until_s
            if wrote_too_long or said_goodbye_too_long:
                self.is_stuck = not said_goodbye_too_long
                wire = self._wire
                self._use(None)
                if wire is not None:
                    wire.abort()
                if said_goodbye_too_long:
                    return
            self._deadline = trio.CancelScope(deadline=self._goodbye_until_s)

    async def _write_until_goodbye(self) -> None:
        while True:
            # A deadline that passed while nothing was written is taken here, before a message is: rule 4.
            await trio.lowlevel.checkpoint_if_cancelled()
            wire = self._wire
            paced: Paced | None = None
            if wire is None:
                if self._goodbye is not None:
                    return
                await self._idle.sleep()
                continue
            if self._begun is not None:
                paced = self._begun
                message = paced.message
            elif self._replies:
                message = self._replies.popleft()
                self._reply_room.unpark()
            elif self._urgent:
                message = self._urgent.popleft()
                self._urgent_room.unpark()
            elif self._paced:
                paced = self._paced.popleft()
                message = paced.message
            elif self._goodbye is not None:
                await wire.aclose(*self._goodbye)
                return
            else:
                await self._idle.sleep()
                continue
            if not await self._write(wire, message):
                continue
            self._count(message)
            if paced is not None:
                paced.written(paced.covers)
            self._on_written()
            if self._clock_waits and len(self._paced) < PACED_LIMIT:
                self._poke_clock()

    async def _write(self, wire: Wire, message: Message) -> bool:
        """Write a message, or what is left of the one that was begun."""
        limit_s = trio.current_time() + self._send_timeout_s
        if self._goodbye is None and not limit_s - 0.1 * self._send_timeout_s <= self._deadline.deadline <= limit_s:
            self._deadline.deadline = limit_s
        self.is_writing = True
        try:
            if self._begun is not None and isinstance(wire, SendsNow):
                await wire.flushed()
            else:
                await wire.send(message)
        except ConnectionClosed:
            # The receive task tells the end; here it only means that there is nothing to write to.
            if self._wire is wire:
                self._use(None)
            return False
        self.is_writing = False
        self._begun = None
        return True

    def _poke_clock(self) -> None:
        if self._clock_waits:
            self._clock_waits = False
            self._on_room()
