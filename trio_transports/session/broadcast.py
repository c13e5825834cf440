"""One source, any number of readers, none of which can hold up the source or each other.

Rules
1. Every subscriber has a buffer of its own. Emitting never blocks and never fails.
2. A subscriber that does not read loses its oldest values past the buffer, and finds an ``EventsLost`` in their place.
   The buffer is bounded in values, and in bytes where the source says what its values take: ``max_bytes``, of which
   the newest value is kept whatever it takes. The value behind an ``EventsLost`` is not lost any more: a reader that
   is slower than its source, with the news of a loss too, still has a value for each of them.
3. No subscriber, no cost.
4. A subscription ends (``EndOfChannel``) when the source's last activity has ended and the buffer was read.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Generic, TypeVar, final

import trio
from attrs import define, field, frozen
from trio.lowlevel import ParkingLot

from .._documented import documented

T = TypeVar("T")


@documented
@final
@frozen
class EventsLost:
    """``count`` older values were dropped because this subscriber did not read them."""

    count: int
    """How many were lost since the last one that was received."""


@final
@define(eq=False)
class Subscription(trio.abc.ReceiveChannel["T | EventsLost"], Generic[T]):
    """One reader's end of a broadcast. Cancelling ``receive`` loses nothing."""

    _source: "Broadcast[T]"
    _buffer: int
    _values: deque[tuple[T, int]] = field(factory=deque, init=False)
    """Each with what it takes, as it was when it came: an event's session goes on."""
    _bytes: int = field(default=0, init=False)
    _behind_loss: list[T] = field(factory=list, init=False)
    """The value behind the last loss that was told; rule 2."""
    _lost: int = field(default=0, init=False)
    _ended: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)
    _readers: ParkingLot = field(factory=ParkingLot, init=False)

    def _put(self, value: T) -> None:
        source = self._source
        size = source.size_of(value)
        self._values.append((value, size))
        self._bytes += size
        while len(self._values) > 1 and (len(self._values) > self._buffer or self._bytes > source.max_bytes):
            self._take()
            self._lost += 1
        self._readers.unpark()

    def _take(self) -> T:
        value, size = self._values.popleft()
        self._bytes -= size
        return value

    def _end(self) -> None:
        self._ended = True
        self._readers.unpark_all()

    async def receive(self) -> T | EventsLost:
        await trio.lowlevel.checkpoint()
        while not self._closed:
            if self._behind_loss:
                return self._behind_loss.pop()
            if self._lost:
                lost, self._lost = self._lost, 0
                self._behind_loss.append(self._take())
                return EventsLost(lost)
            if self._values:
                return self._take()
            if self._ended:
                raise trio.EndOfChannel
            await self._readers.park()
        raise trio.ClosedResourceError("this subscription was closed")

    def close(self) -> None:
        """Receive nothing more."""
        self._closed = True
        self._values.clear()
        self._behind_loss.clear()
        self._bytes = 0
        self._source._forget(self)
        self._readers.unpark_all()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


def _nothing(_value: object) -> int:
    return 0


@final
@define(eq=False)
class Broadcast(Generic[T]):
    """The source's end. ``size_of`` says what a value takes."""

    max_bytes: float = inf
    size_of: Callable[[T], int] = _nothing
    _subscribers: list[Subscription[T]] = field(factory=list, init=False)
    _active: int = field(default=0, init=False)

    def subscribe(self, buffer: int = 1024) -> Subscription[T]:
        if buffer < 1:
            raise ValueError(f"buffer must be at least 1, not {buffer}")
        subscription = Subscription(self, buffer)
        self._subscribers.append(subscription)
        return subscription

    @property
    def has_subscribers(self) -> bool:
        return bool(self._subscribers)

    def emit(self, value: T) -> None:
        for subscription in self._subscribers:
            subscription._put(value)

    @contextmanager
    def activity(self) -> Iterator[None]:
        """While any activity lasts, subscriptions stay open; the end of the last one ends them all."""
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1
            if not self._active:
                self.end()

    def end(self) -> None:
        """End all subscriptions; what is buffered can still be read."""
        for subscription in self._subscribers:
            subscription._end()
        self._subscribers.clear()

    def _forget(self, subscription: Subscription[T]) -> None:
        if subscription in self._subscribers:
            self._subscribers.remove(subscription)
