"""One reader's end of a bus: two bounded lanes, and what happens when they are full.

Rules
1. System messages wait in one lane, data in the other. ``receive`` empties the system lane first; a reader with two
   tasks may use ``receive_system`` and ``receive_data``, so that a long handler holds up no cancellation.
2. A lane holds so many messages, and so many bytes of them. A full lane loses its oldest message. How many were lost is
   told in their place, by a ``BusGapMessage``. The message behind it is not lost any more: a reader that is slower than
   its senders, with the news of a gap too, still has a message for each of them. The sender and the other subscribers
   notice nothing.
3. A bus that may lose nothing puts a message with a ``Receipt`` and waits for room instead; such a message is never
   dropped for another. Coming back for the next message says that the one before was handled; closing, that what is
   in hand and what waits was left.
4. Coming back is a point of cancellation, and only each ``TURN``-th time one of scheduling: a switch of tasks costs
   more than most messages do.
5. ``tap`` is shown each message first, in the sender's task; what it takes is not queued. ``accepts`` is asked of the
   rest. If one of them raises, this subscription ends with that exception, and nobody else is touched.
6. ``concerns`` is asked before both, and only once for each kind of message and each target: most messages are for one
   subscriber among many, and the others cost nothing then.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias, TypedDict, Unpack, final

import trio
from attrs import define, field, frozen
from attrs.validators import ge
from trio.lowlevel import ParkingLot

from .._documented import documented
from .messages import BusGapMessage, BusMessage, BusSystemMessage
from .weight import weight

DATA_BUFFER: Final = 1024
SYSTEM_BUFFER: Final = 256
MAX_BYTES: Final = 16 * 1024 * 1024
GAP_SOURCE: Final = "bus"
TURN: Final = 16
"""So many messages in a row are sent, or read, before the other tasks have their turn."""

MAX_ROUTES: Final = 4096
"""Kinds and targets that are remembered; past it they are asked for anew."""

MAX_GONE: Final = 1024

Accepts: TypeAlias = Callable[[BusMessage], bool]
Concerns: TypeAlias = Callable[[type[BusMessage], str | None], bool]


class SubscribeOptions(TypedDict, total=False):
    """What ``subscribe`` takes beside a name."""

    accepts: Accepts | None
    """Which messages are queued; it must be quick."""
    tap: Accepts | None
    """Takes messages at once, in the sender's task, and says which; it must be quicker."""
    concerns: Concerns | None
    """Which kinds of messages, with which target, either of them may want; the answer must not change."""
    data_buffer: int
    system_buffer: int
    max_bytes: int
    """How much may wait in each of the two lanes."""


class Receipt(Protocol):
    """Counts the readers that still have a message in hand."""

    def handled(self) -> None: ...

    def left(self, *, in_hand: bool = False) -> None:
        """A reader has ended that had not handled it; ``in_hand``: it had begun."""


@documented
@final
@frozen(kw_only=True)
class SubscriptionStatistics:
    """What a subscription has counted so far."""

    received: int
    """Messages that its reader has taken."""
    dropped: int
    """Messages that were lost, since it did not read in time; a ``BusGapMessage`` stands in their place."""
    waiting_data: int
    """Messages that wait in order."""
    waiting_system: int
    """Messages that wait ahead of those."""
    waiting_bytes: int
    """The memory that they take, in bytes."""


@final
@frozen
class _Waiting:
    message: BusMessage
    size_bytes: int
    receipt: Receipt | None = None


@final
@define(eq=False)
class _Lane:
    size: int
    max_bytes: int
    waiting: deque[_Waiting] = field(factory=deque, init=False)
    behind_gap: _Waiting | None = field(default=None, init=False)
    """The message behind the last gap that was told; rule 2."""
    bytes: int = field(default=0, init=False)
    lost: int = field(default=0, init=False)
    is_unknown: bool = field(default=False, init=False)
    """How many were lost cannot be known any more."""
    in_hand: Receipt | None = field(default=None, init=False)
    writers: ParkingLot = field(factory=ParkingLot, init=False)
    readers: ParkingLot = field(factory=ParkingLot, init=False)

    @property
    def is_crowded(self) -> bool:
        """Whether its readers ought to have their turn before more is put."""
        return 2 * len(self.waiting) >= self.size

    def has_room(self, size_bytes: int) -> bool:
        # One message has always room: one over the bound is not lost for that.
        return not self.waiting or (len(self.waiting) < self.size and self.bytes + size_bytes <= self.max_bytes)

    def append(self, waiting: _Waiting) -> None:
        self.waiting.append(waiting)
        self.bytes += waiting.size_bytes

    @property
    def has_something(self) -> bool:
        return bool(self.waiting) or self.behind_gap is not None

    @property
    def all_waiting(self) -> Sequence[_Waiting]:
        return (*(() if self.behind_gap is None else (self.behind_gap,)), *self.waiting)

    def take(self) -> BusMessage:
        waiting = self.behind_gap
        if waiting is None:
            waiting = self._next()
        else:
            self.behind_gap = None
        self.in_hand = waiting.receipt
        return waiting.message

    def _next(self) -> _Waiting:
        waiting = self.waiting.popleft()
        self.bytes -= waiting.size_bytes
        if self.writers:
            self.writers.unpark()
        return waiting

    def make_room(self, size_bytes: int) -> int:
        """Lose the oldest that may be lost, until there is room or none is left; says how many."""
        before = len(self.waiting)
        while not self.has_room(size_bytes):
            index = next((index for index, waiting in enumerate(self.waiting) if waiting.receipt is None), None)
            if index is None:
                break
            self.lose(self.waiting[index].message)
            self.bytes -= self.waiting[index].size_bytes
            del self.waiting[index]
        return before - len(self.waiting)

    def lose(self, message: BusMessage) -> None:
        """Count a message that had no room."""
        if isinstance(message, BusGapMessage):  # a gap that is itself lost widens the one told in its place
            self.lost += message.missed or 0
            self.is_unknown = self.is_unknown or message.missed is None
        else:
            self.lost += 1

    def tell_gap(self) -> BusGapMessage:
        """What stands for all that was lost since the last one."""
        missed = None if self.is_unknown else self.lost
        self.lost, self.is_unknown = 0, False
        self.behind_gap = self._next() if self.waiting else None
        return BusGapMessage(source=GAP_SOURCE, missed=missed, reason="this subscriber did not read them in time")

    def clear(self) -> None:
        self.leave(in_hand=True)
        while self.has_something:
            self.take()
            self.leave()

    def leave(self, *, in_hand: bool = False) -> None:
        """The message that was taken last is not handled, nor will be."""
        receipt, self.in_hand = self.in_hand, None
        if receipt is not None:
            receipt.left(in_hand=in_hand)

    def settle(self) -> None:
        """The message in hand has been handled."""
        receipt, self.in_hand = self.in_hand, None
        if receipt is not None:
            receipt.handled()


@documented
@final
@define(eq=False, kw_only=True, repr=False, slots=False)  # without slots: the abstract base has a __dict__ as it is
class BusSubscription(trio.abc.ReceiveChannel[BusMessage]):
    """Made by a bus's ``subscribe``. Cancelling any of the receiving methods loses nothing."""

    name: str
    """Whose it is."""
    _accepts: Accepts | None = None
    _tap: Accepts | None = None
    _concerns: Concerns | None = None
    data_buffer: int = field(default=DATA_BUFFER, validator=ge(1))
    """How many data messages may wait."""
    system_buffer: int = field(default=SYSTEM_BUFFER, validator=ge(1))
    """How many system messages may wait."""
    max_bytes: int = field(default=MAX_BYTES, validator=ge(1))
    """How many bytes may wait, of either kind."""
    _forget: "Callable[[BusSubscription], None]"
    _system: _Lane = field(init=False)
    _data: _Lane = field(init=False)
    _readers: ParkingLot = field(factory=ParkingLot, init=False)
    """Those of both lanes."""
    _turns: int = field(default=0, init=False)
    _received: int = field(default=0, init=False)
    _dropped: int = field(default=0, init=False)
    _state: str = field(default="open", init=False)
    _failure: Exception | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._system = _Lane(self.system_buffer, self.max_bytes)
        self._data = _Lane(self.data_buffer, self.max_bytes)

    def __repr__(self) -> str:
        return f"<BusSubscription {self.name!r} {self._state}, {len(self._data.waiting)} waiting>"

    def statistics(self) -> SubscriptionStatistics:
        """Take a snapshot of what was counted so far."""
        return SubscriptionStatistics(
            received=self._received,
            dropped=self._dropped,
            waiting_data=len(self._data.all_waiting),
            waiting_system=len(self._system.all_waiting),
            waiting_bytes=sum(one.size_bytes for lane in (self._data, self._system) for one in lane.all_waiting),
        )

    # What a bus uses.

    def may_want(self, kind: type[BusMessage], target: str | None) -> bool:
        """Whether messages of that kind and target have to be shown to it (rule 6)."""
        return self._concerns is None or issubclass(kind, BusGapMessage) or self._concerns(kind, target)

    def wants(self, message: BusMessage) -> bool | None:
        """Show ``message`` to the tap, and ask ``accepts`` of it (rule 5). A gap is told to everyone.

        None: no, but one of them has dealt with it, or has failed at it.
        """
        if self._state != "open":
            return False
        if isinstance(message, BusGapMessage):
            return True
        try:
            if self._tap is not None and self._tap(message):
                return None
            return self._accepts is None or self._accepts(message)
        except Exception as exc:  # the user's own code, in the sender's task: raised where its owner reads
            self._failure = exc
            self._forget(self)
            self.end()
            return None

    def put(self, message: BusMessage) -> bool:
        """Queue ``message``, which it wants, at the cost of the oldest one waiting; whether its lane is crowded now."""
        lane = self._lane(message)
        # What is first in its lane has room, and is gone at once if its reader waits: it need not be weighed.
        size_bytes = weight(message) if lane.has_something else 0
        if not lane.has_room(size_bytes):
            self._dropped += lane.make_room(size_bytes)
            if not lane.has_room(size_bytes):
                lane.lose(message)
                self._dropped += 1
                return True
        lane.append(_Waiting(message, size_bytes))
        self._wake_readers(lane)
        return lane.is_crowded

    async def put_with_receipt(self, message: BusMessage, receipt: Receipt) -> None:
        """Queue ``message``, which it wants, once there is room. A reader that is gone has left it."""
        lane, size_bytes = self._lane(message), weight(message)
        while self._state == "open" and not lane.has_room(size_bytes):
            await lane.writers.park()
        if self._state == "closed" or self._failure is not None:
            receipt.left()
        elif self._state == "open":  # else the bus itself ends: what was not handled stays so
            lane.append(_Waiting(message, size_bytes, receipt))
            self._wake_readers(lane)

    @property
    def awaits_data(self) -> bool:
        """Whether a reader of data has handled all there was, and waits for more."""
        return bool(self._data.readers) and not self._data.has_something and not self._data.lost

    def end(self) -> None:
        """No more messages will come; those waiting can be read."""
        if self._state == "open":
            self._state = "ended"
        self._wake()

    # What a reader uses.

    async def receive(self) -> BusMessage:
        return await self._receive((self._system, self._data), self._readers)

    async def receive_system(self) -> BusMessage:
        """Wait for the next system message. Cancelling it loses nothing."""
        return await self._receive((self._system,), self._system.readers)

    async def receive_data(self) -> BusMessage:
        """Wait for the next data message. Cancelling it loses nothing."""
        return await self._receive((self._data,), self._data.readers)

    def close(self) -> None:
        """End this side. What waits is dropped; what a bus has stored it keeps if it ends soon, too."""
        if self._state == "closed":
            return
        self._state = "closed"
        self._forget(self)
        self._system.clear()
        self._data.clear()
        self._wake()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def _lane(self, message: BusMessage) -> _Lane:
        return self._system if isinstance(message, BusSystemMessage) else self._data

    def _wake(self) -> None:
        for lane in (self._system, self._data):
            self._wake_readers(lane)
            lane.writers.unpark_all()

    def _wake_readers(self, lane: _Lane) -> None:
        if lane.readers:
            lane.readers.unpark_all()
        if self._readers:
            self._readers.unpark_all()

    async def _receive(self, lanes: Sequence[_Lane], place: ParkingLot) -> BusMessage:
        for lane in lanes:
            lane.settle()
        self._turns += 1
        if self._turns % TURN:  # rule 4
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        while self._state != "closed":
            for lane in lanes:
                if (lane.lost or lane.is_unknown) and lane.behind_gap is None:
                    return lane.tell_gap()
                if lane.waiting or lane.behind_gap is not None:
                    self._received += 1
                    return lane.take()
            if self._failure is not None:
                raise self._failure
            if self._state == "ended":
                raise trio.EndOfChannel
            await place.park()
        raise trio.ClosedResourceError("this subscription was closed")


@final
@define(eq=False)
class Fanout:
    """The subscriptions of one bus in this process."""

    # A tuple, replaced whole: a reader may come or go while the others are served.
    subscriptions: tuple[BusSubscription, ...] = ()
    gone: dict[str, None] = field(factory=dict, init=False)
    """Whose subscriptions were closed, the latest ``MAX_GONE`` names that have none now."""
    _routes: dict[tuple[type[BusMessage], str | None], tuple[BusSubscription, ...]] = field(factory=dict, init=False)

    def subscribe(self, name: str, **options: Unpack[SubscribeOptions]) -> BusSubscription:
        subscription = BusSubscription(name=name, forget=self._forget, **options)
        self.gone.pop(name, None)
        self._become((*self.subscriptions, subscription))
        return subscription

    def concerned(self, message: BusMessage) -> tuple[BusSubscription, ...]:
        """Those that ``message`` has to be shown to."""
        route = (type(message), message.target)
        concerned = self._routes.get(route)
        if concerned is None:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            concerned = self._routes[route] = tuple(one for one in self.subscriptions if one.may_want(*route))
        return concerned

    def deliver(self, message: BusMessage) -> bool:
        """Give it to all that want it; whether some of them ought to have their turn before more is sent."""
        is_crowded = False
        for subscription in self.concerned(message):
            if subscription.wants(message):
                is_crowded = subscription.put(message) or is_crowded
        return is_crowded

    def end(self) -> None:
        for subscription in self.subscriptions:
            subscription.end()
        self._become(())

    def _forget(self, subscription: BusSubscription) -> None:
        self._become(tuple(other for other in self.subscriptions if other is not subscription))
        if any(other.name == subscription.name for other in self.subscriptions):
            return
        self.gone[subscription.name] = None
        if len(self.gone) > MAX_GONE:
            del self.gone[next(iter(self.gone))]

    def _become(self, subscriptions: tuple[BusSubscription, ...]) -> None:
        self.subscriptions = subscriptions
        self._routes.clear()
