"""One reader's end of a bus: two bounded lanes, and what happens when they are full.

Rules
1. System messages wait in one lane, data in the other. ``receive`` empties the system lane first; a reader with two
   tasks may use ``receive_system`` and ``receive_data``, so that a long handler holds up no cancellation.
2. A lane holds so many messages, each no larger than a serializer lets in. A full lane loses its oldest message. How
   many were lost is told in their place, by a ``BusGapMessage``. The sender and the other subscribers notice nothing.
3. A bus that may lose nothing puts a message with a ``Receipt`` and waits for room instead; such a message is never
   dropped for another. Coming back for the next message says that the one before was handled.
4. ``accepts`` is asked before a message is queued. If it raises, this subscription ends with that exception, and nobody
   else is touched.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, final

import trio
from attrs import define, field, frozen
from trio.lowlevel import ParkingLot

from .messages import BusGapMessage, BusMessage, BusSystemMessage

DATA_BUFFER: Final = 1024
SYSTEM_BUFFER: Final = 256
GAP_SOURCE: Final = "bus"


class Receipt(Protocol):
    """Counts the readers that still have a message in hand."""

    def handled(self) -> None: ...


@final
@frozen(kw_only=True)
class SubscriptionStatistics:
    received: int
    dropped: int
    waiting_data: int
    waiting_system: int


@final
@define(eq=False)
class _Lane:
    size: int
    waiting: deque[tuple[BusMessage, Receipt | None]] = field(factory=deque, init=False)
    lost: int = field(default=0, init=False)
    lost_reason: str = field(default="", init=False)
    unknown: bool = field(default=False, init=False)
    in_hand: Receipt | None = field(default=None, init=False)
    writers: ParkingLot = field(factory=ParkingLot, init=False)

    @property
    def is_full(self) -> bool:
        return len(self.waiting) >= self.size

    def put(self, message: BusMessage) -> bool:
        """Queue ``message``; False if that cost one, be it this one."""
        if not self.is_full:
            self.waiting.append((message, None))
            return True
        if self.waiting[0][1] is None:
            oldest, _ = self.waiting.popleft()
        else:
            index = next((index for index, (_, receipt) in enumerate(self.waiting) if receipt is None), None)
            if index is None:
                self._lose(message)
                return False
            oldest, _ = self.waiting[index]
            del self.waiting[index]
        self._lose(oldest)
        self.waiting.append((message, None))
        return False

    def _lose(self, message: BusMessage) -> None:
        if isinstance(message, BusGapMessage):  # a gap that is itself lost widens the one told in its place
            self.lost += message.missed or 0
            self.unknown = self.unknown or message.missed is None
        else:
            self.lost += 1

    def clear(self) -> None:
        self.settle()
        while self.waiting:
            _, receipt = self.waiting.popleft()
            if receipt is not None:
                receipt.handled()

    def settle(self) -> None:
        """The message in hand has been handled."""
        receipt, self.in_hand = self.in_hand, None
        if receipt is not None:
            receipt.handled()


@final
class BusSubscription(trio.abc.ReceiveChannel[BusMessage]):
    """Made by a bus's ``subscribe``. Cancelling any of the receiving methods loses nothing."""

    def __init__(
        self,
        name: str,
        *,
        accepts: Callable[[BusMessage], bool] | None,
        data_buffer: int,
        system_buffer: int,
        forget: "Callable[[BusSubscription], None]",
    ) -> None:
        for what, size in (("data_buffer", data_buffer), ("system_buffer", system_buffer)):
            if size < 1:
                raise ValueError(f"{what} must be at least 1, not {size}")
        self.name = name
        self._accepts = accepts
        self._system = _Lane(system_buffer)
        self._data = _Lane(data_buffer)
        self._readers = ParkingLot()
        self._forget = forget
        self._received = 0
        self._dropped = 0
        self._ended = False
        self._closed = False
        self._failure: Exception | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._ended else "open"
        return f"<BusSubscription {self.name!r} {state}, {len(self._data.waiting)} waiting>"

    def statistics(self) -> SubscriptionStatistics:
        return SubscriptionStatistics(
            received=self._received,
            dropped=self._dropped,
            waiting_data=len(self._data.waiting),
            waiting_system=len(self._system.waiting),
        )

    def wants(self, message: BusMessage) -> bool:
        """Ask ``accepts`` (rule 4). A gap is told to everyone."""
        if self._ended or self._closed:
            return False
        if self._accepts is None or isinstance(message, BusGapMessage):
            return True
        try:
            return self._accepts(message)
        except Exception as exc:
            self._failure = exc
            self.end()
            return False

    def put(self, message: BusMessage) -> None:
        """Queue ``message``, which it wants, at the cost of the oldest one waiting."""
        if not self._lane(message).put(message):
            self._dropped += 1
        self._readers.unpark_all()

    async def put_with_receipt(self, message: BusMessage, receipt: Receipt) -> None:
        """Queue ``message``, which it wants, once there is room. A reader that is gone has handled it."""
        lane = self._lane(message)
        while lane.is_full and not (self._closed or self._ended):
            await lane.writers.park()
        if self._closed or self._failure is not None:
            receipt.handled()
            return
        if self._ended:  # the bus itself ends: what was not handled stays so
            return
        lane.waiting.append((message, receipt))
        self._readers.unpark_all()

    def end(self) -> None:
        """No more messages will come; those waiting can be read."""
        self._ended = True
        self._wake()

    async def receive(self) -> BusMessage:
        return await self._receive((self._system, self._data))

    async def receive_system(self) -> BusMessage:
        return await self._receive((self._system,))

    async def receive_data(self) -> BusMessage:
        return await self._receive((self._data,))

    def close(self) -> None:
        """End this side. What waits is dropped, and counts as handled: nobody wants it any more."""
        if self._closed:
            return
        self._closed = True
        self._forget(self)
        for lane in (self._system, self._data):
            lane.clear()
        self._wake()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def _lane(self, message: BusMessage) -> _Lane:
        return self._system if isinstance(message, BusSystemMessage) else self._data

    def _wake(self) -> None:
        self._readers.unpark_all()
        for lane in (self._system, self._data):
            lane.writers.unpark_all()

    async def _receive(self, lanes: Sequence[_Lane]) -> BusMessage:
        for lane in lanes:
            lane.settle()
        await trio.lowlevel.checkpoint()
        while not self._closed:
            for lane in lanes:
                if lane.lost or lane.unknown:
                    return _gap(lane)
                if lane.waiting:
                    message, lane.in_hand = lane.waiting.popleft()
                    lane.writers.unpark()
                    self._received += 1
                    return message
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise trio.EndOfChannel
            await self._readers.park()
        raise trio.ClosedResourceError("this subscription was closed")


def _gap(lane: _Lane) -> BusGapMessage:
    lost, unknown = lane.lost, lane.unknown
    lane.lost, lane.unknown = 0, False
    return BusGapMessage(
        source=GAP_SOURCE, missed=None if unknown else lost, reason="this subscriber did not read them in time"
    )


@final
class Fanout:
    """The subscriptions of one bus in this process."""

    def __init__(self) -> None:
        self._subscriptions: tuple[BusSubscription, ...] = ()

    def subscribe(
        self, name: str, accepts: Callable[[BusMessage], bool] | None, data_buffer: int, system_buffer: int
    ) -> BusSubscription:
        subscription = BusSubscription(
            name, accepts=accepts, data_buffer=data_buffer, system_buffer=system_buffer, forget=self._forget
        )
        self._subscriptions += (subscription,)
        return subscription

    @property
    def subscriptions(self) -> tuple[BusSubscription, ...]:
        return self._subscriptions

    def deliver(self, message: BusMessage) -> None:
        # A tuple: a reader may come or go while the others are served.
        for subscription in self._subscriptions:
            if subscription.wants(message):
                subscription.put(message)

    def end(self) -> None:
        for subscription in self._subscriptions:
            subscription.end()
        self._subscriptions = ()

    def _forget(self, subscription: BusSubscription) -> None:
        self._subscriptions = tuple(other for other in self._subscriptions if other is not subscription)
