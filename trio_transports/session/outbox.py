"""The outbox, the only writer of the wire: a short queue, and the send task that waits where a write has to.

Rules
1. What waits goes in the order of ``session.lanes``; the clock hands over while ``has_room``, and is poked when there
   is room again. So an interruption finds nearly everything still on this side of the wire.
2. A write that passes its deadline (``session.deadline``), or is cancelled midway, aborts the wire: half a message may
   be on it, and nothing may follow.
3. Goodbye is the task's last act, so that nothing can come after it.
"""

from collections.abc import Callable, Sequence
from typing import final

import trio
from attrs import define, field

from .._offers import offers
from .._sleeper import Sleeper
from ..errors import ConnectionClosed
from ..serializers.protocol import Message, Numbers
from ..wire.protocol import SendsNow, Wire
from .deadline import Deadline
from .lanes import PACED_LIMIT, REPLY_LIMIT, Lanes, Paced
from .statistics import Counters


@final
@define(eq=False)
class WireOutbox:
    """Owned by one session; ``run`` is its send task. ``attach`` gives it the wire."""

    _counters: Counters
    _deadline: Deadline
    _on_room: Callable[[], None]
    _on_written: Callable[[], None]
    _numbers: Numbers | None = None
    lanes: Lanes = field(factory=Lanes, init=False)
    _wire: Wire | None = field(default=None, init=False)
    _writes_now: Callable[[Message], bool | None] | None = field(default=None, init=False)
    _begun: Paced | None = field(default=None, init=False)
    """Written in part by ``put``; the send task waits for the rest."""
    _goodbye: tuple[int, str] | None = field(default=None, init=False)
    _idle: Sleeper = field(factory=Sleeper, init=False)
    _clock_waits: bool = field(default=False, init=False)
    _writing: Message | Paced | None = field(default=None, init=False)
    is_stuck: bool = field(default=False, init=False)
    """The last write passed its deadline, and the wire was aborted for it."""

    def has_room(self) -> bool:
        """Whether the clock may hand over; when not, it is poked as soon as it may."""
        if self._wire is not None and len(self.lanes.paced) < PACED_LIMIT:
            return True
        self._clock_waits = True
        return False

    def put(
        self,
        message: Message,
        written: Callable[[int], None],
        covers: int,
        is_kept: bool = False,
        is_filling: bool = False,
        lost: Callable[[], object] | None = None,
    ) -> None:
        """Take a message over, and call ``written(covers)`` once it is on the wire, or ``lost`` if it is cut off there.

        On a wire that can, it is written here and now, if nothing else waits or is being written.
        """
        writes_now = self._writes_now
        if writes_now is not None and self._numbers is not None and self._must_number(message):
            writes_now = None
        if writes_now is not None and self._goodbye is None and self.is_empty:
            try:
                is_written = writes_now(message)
            except ConnectionClosed:
                self._writing = Paced(message, written, covers, is_kept, is_filling, lost)
                self._use(None)
                return  # the receive task tells the end, and with it what was not written
            if is_written:
                self._counters.messages_sent += 1
                self._counters.bytes_sent += len(message)
                written(covers)
                self._on_written()
                return
            if is_written is None:
                self._deadline.writing()
                self._begun = self._writing = Paced(message, written, covers, is_kept, is_filling, lost)
                self._idle.wake()
                return
        self.lanes.paced.append(Paced(message, written, covers, is_kept, is_filling, lost))
        self._idle.wake()

    def wrote_nothing(self) -> None:
        """Something left the queue without a message: those who wait for an empty queue may look."""
        self._on_written()

    @property
    def is_empty(self) -> bool:
        lanes = self.lanes
        return not (lanes.paced or lanes.urgent or lanes.replies or self._writing is not None)

    @property
    def is_writing(self) -> bool:
        return self._writing is not None

    @property
    def is_drained(self) -> bool:
        """Whether nothing is left that was queued; what fills the gaps behind it may wait here without end."""
        lanes, writing = self.lanes, self._writing
        if lanes.urgent or lanes.replies or not all(paced.is_filling for paced in lanes.paced):
            return False
        return writing is None or (isinstance(writing, Paced) and writing.is_filling)

    def put_replies(self, messages: Sequence[Message]) -> None:
        """Put the dialect's own answers behind earlier ones and ahead of all else; without a wire they have no peer."""
        if messages and self._wire is not None:
            self.lanes.replies.extend(messages)
            self._idle.wake()

    @property
    def owes_much(self) -> bool:
        """Whether ``room_for_replies`` would wait."""
        return len(self.lanes.replies) >= REPLY_LIMIT and self._can_answer()

    def _can_answer(self) -> bool:
        return self._wire is not None and self._goodbye is None

    async def room_for_replies(self) -> None:
        """Wait while too many answers are unwritten: for ``send_timeout`` at most, as any write may."""
        await self.lanes.room_for_replies(self._can_answer)

    def put_first(self, messages: Sequence[Message]) -> None:
        """Put messages ahead of everything but replies."""
        self.lanes.put_first(messages)
        self._idle.wake()

    async def put_urgent(self, messages: Sequence[Message], closed: Callable[[], ConnectionClosed | None]) -> None:
        """Queue messages behind earlier urgent ones, waiting for room; raise what ``closed`` gives."""
        await self.lanes.room_for_urgent(closed)
        self.put_last(messages)

    def put_last(self, messages: Sequence[Message]) -> None:
        """Queue messages of the session's own behind the urgent ones; of these there are few, so it never waits."""
        self.lanes.urgent.extend(messages)
        self._idle.wake()

    def drop_paced(self) -> list[Paced]:
        """Drop what was handed over and is not being written yet; return it."""
        return self.lanes.drop_paced()

    def say_goodbye(self, code: int, reason: str) -> None:
        """Close the wire after what waits; the send task ends with it."""
        if self._goodbye is None:
            self._goodbye = (code, reason)
            self._deadline.saying_goodbye()
            self.wake()

    def attach(self, wire: Wire | None) -> None:
        """Write to this wire from now on; None: there is none at the moment."""
        self._use(wire)
        self.is_stuck = False
        self.wake()

    def wake(self) -> None:
        self._idle.wake()
        self.lanes.wake()
        self._poke_clock()

    def _use(self, wire: Wire | None) -> None:
        self._wire = wire
        self.lanes.drop_replies()
        given_up, self._begun, self._writing = self._writing, None, None
        self._writes_now = wire.send_now if offers(wire, SendsNow) else None
        if isinstance(given_up, Paced) and given_up.lost is not None:
            given_up.lost()

    def _count(self, message: Message) -> None:
        self._counters.messages_sent += 1
        self._counters.bytes_sent += len(message)

    async def run(self) -> None:
        """The send task: it ends after the goodbye, or when that took too long."""
        deadline = self._deadline
        while True:
            with deadline.scope:
                await self._write_until_goodbye()
            if not deadline.scope.cancelled_caught:
                return
            # A write may have been begun by ``put`` in this very turn, after the deadline fired with none under way.
            wrote_too_long = self.is_writing and deadline.has_passed
            said_goodbye_too_long = deadline.has_goodbye_passed
            if wrote_too_long or said_goodbye_too_long:
                self.is_stuck = not said_goodbye_too_long
                wire = self._wire
                self._use(None)
                if wire is not None:
                    wire.abort()
                if said_goodbye_too_long:
                    return
            deadline.renew()

    async def _write_until_goodbye(self) -> None:
        while True:
            # A deadline that passed while nothing was written is taken here, before a message is: it means nothing.
            await trio.lowlevel.checkpoint_if_cancelled()
            wire = self._wire
            if wire is None:
                if self._goodbye is not None:
                    return
                await self._idle.sleep()
                continue
            taken = self._begun if self._begun is not None else self.lanes.next()
            if taken is None:
                if self._goodbye is not None:
                    await wire.aclose(*self._goodbye)
                    return
                await self._idle.sleep()
                continue
            if not await self._write(wire, taken):
                continue
            self._count(taken.message if isinstance(taken, Paced) else taken)
            if isinstance(taken, Paced):
                taken.written(taken.covers)
            self._on_written()
            if self._clock_waits and len(self.lanes.paced) < PACED_LIMIT:
                self._poke_clock()

    async def _write(self, wire: Wire, taken: Message | Paced) -> bool:
        """Write a message, or what is left of the one that was begun."""
        message = taken.message if isinstance(taken, Paced) else taken
        self._deadline.writing()
        self._writing = taken
        try:
            if self._begun is not None and offers(wire, SendsNow):
                await wire.flushed()
            else:
                await wire.send(message if self._numbers is None else self._numbers.numbered(message))
        except ConnectionClosed:
            # The receive task tells the end; here it only means that there is nothing to write to.
            if self._wire is wire:
                self._use(None)
            return False
        is_lost = self._writing is not taken and isinstance(taken, Paced) and taken.lost is not None  # and was told so
        self._begun = self._writing = None
        return not is_lost

    def _must_number(self, message: Message) -> bool:
        """Whether the dialect numbers this message when it is written, so not before the send task does."""
        return self._numbers is not None and type(message) is str and self._numbers.numbers

    def _poke_clock(self) -> None:
        if self._clock_waits:
            self._clock_waits = False
            self._on_room()
