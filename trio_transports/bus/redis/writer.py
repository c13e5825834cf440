"""What one process writes to Redis: published messages, stored messages, acknowledgements.

Rules
1. Published messages wait in an ``Outbox``. While there is a connection, a sender of data waits for room when more than
   ``HIGH_WATER`` wait: it is slowed to what Redis takes. While there is none nobody waits: the outbox is bounded, the
   oldest data dropped, and a dropped one uses up its number, so that readers are told a gap. After an outage audio
   older than ``stale_audio_s`` is dropped too.
2. Stored messages wait for room, then for the server's word that it has them. When the bus ends those that have no
   answer fail.
3. Commands go out in batches, many on the way at once. Those without an answer when the connection is lost are sent
   again, with the same numbers, on the next one: a reader that has seen a number ignores it.
4. A command that the server refuses fails alone. What it refuses to store for now (it has no memory, no disk, too few
   replicas) is tried again, in order, until it takes it; ``on_pause`` is told why, and None when it goes on. Everything
   else goes on meanwhile. A server that is read-only is a lost connection: the next one goes to whoever took over.
5. A message that was refused for now while one after it was taken gets a new number: its own would look like a repeat.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from ...errors import TransportError
from ..outbox import Outbox, Waiting
from .connection import LOST, Argument, ReadOnlyError, RedisConnection, RedisError, is_refused_for_now
from .sequence import stamp

BATCH: Final = 64
HIGH_WATER: Final = 512
MAX_STORING: Final = 1024
RETRY_S: Final = 0.05
MAX_RETRY_S: Final = 2.0

log = logging.getLogger(__name__)


@final
@define(eq=False)
class _Command:
    arguments: tuple[Argument, ...]
    done: Callable[[], None]
    failed: Callable[[RedisError | None], None]
    storing: "_Storing | None" = None


@final
@define(eq=False)
class _Storing:
    key: str
    data: bytes
    number: int = 0
    settled: trio.Event = field(factory=trio.Event)
    has_failed: bool = False
    error: RedisError | None = None

    def fail(self, error: RedisError | None) -> None:
        self.has_failed = True
        self.error = error
        self.settled.set()


def _nothing() -> None: ...


@final
@define(eq=False, kw_only=True)
class Writer:
    """One task runs ``use``; any task puts."""

    name: str
    channel: str
    publisher: str
    group: str
    outbox: Outbox
    stream_max_length: int
    stale_audio_s: float
    on_pause: Callable[[str | None], None]
    on_ready: Callable[[], None] = field(default=_nothing, init=False)
    refused: int = field(default=0, init=False)
    published: int = field(default=0, init=False)
    stored: int = field(default=0, init=False)
    _storing: deque[_Storing] = field(factory=deque, init=False)
    _retry_at_s: float | None = field(default=None, init=False)
    """When what was refused for now is tried again; None: nothing was."""
    _retries: int = field(default=0, init=False)
    _taken: dict[str, int] = field(factory=dict, init=False)
    """The highest number that the server has taken, by stream."""
    _room: ParkingLot = field(factory=ParkingLot, init=False)
    _acks: dict[str, deque[tuple[bytes, Callable[[], None]]]] = field(factory=dict, init=False)
    _unsettled: deque[_Command] = field(factory=deque, init=False)
    _numbers: dict[str, int] = field(factory=dict, init=False)
    _drops_numbered: int = field(default=0, init=False)
    _wake: trio.Event = field(factory=trio.Event, init=False)
    _idle: ParkingLot = field(factory=ParkingLot, init=False)
    _has_logged: bool = field(default=False, init=False)
    _is_connected: bool = field(default=False, init=False)
    _is_closed: bool = field(default=False, init=False)
    _room_to_publish: ParkingLot = field(factory=ParkingLot, init=False)

    def publish(self, waiting: Waiting) -> None:
        self.outbox.put(waiting)
        self._wake.set()

    async def wait_for_room(self) -> None:
        """Wait until a little waits, or nothing can be written anyway. Cancelling it changes nothing."""
        await trio.lowlevel.checkpoint()
        high_water = min(HIGH_WATER, self.outbox.max_messages // 2)
        while self._is_connected and len(self.outbox) > high_water:
            await self._room_to_publish.park()

    async def store(self, key: str, data: bytes) -> None:
        """Wait until the server has ``data``. Cancelled, it may have it or not."""
        await trio.lowlevel.checkpoint()
        while len(self._storing) >= MAX_STORING and not self._is_closed:
            await self._room.park()
        storing = _Storing(key, data)
        if self._is_closed:
            storing.fail(None)
        else:
            self._storing.append(storing)
            self._wake.set()
        await storing.settled.wait()
        if storing.has_failed:
            if storing.error is None:
                raise TransportError(f"the bus has ended, and Redis has not said that a message on {key} is stored")
            raise TransportError(f"Redis did not store a message on {key}: {storing.error}") from storing.error

    def acknowledge(self, key: str, entry: bytes, done: Callable[[], None]) -> None:
        self._acks.setdefault(key, deque()).append((entry, done))
        self._wake.set()

    async def drained(self) -> None:
        """Wait until nothing is left to write."""
        while self._has_work():
            await self._idle.park()

    async def use(self, connection: RedisConnection) -> None:
        """Write on one connection until it is lost."""
        self.on_ready()
        self.outbox.drop_stale_audio(trio.current_time() - self.stale_audio_s)
        self._is_connected = True
        try:
            await self._write_all(connection)
        finally:
            self._is_connected = False
            self._room_to_publish.unpark_all()

    def close(self) -> None:
        """Fail what is stored without an answer, and what anybody still wants to store."""
        self._is_closed = True
        for command in self._unsettled:
            command.failed(None)
        for storing in self._storing:
            storing.fail(None)
        self._unsettled.clear()
        self._storing.clear()
        self._room.unpark_all()

    async def _write_all(self, connection: RedisConnection) -> None:
        while True:
            if not self._unsettled:
                self._unsettled.extend(self._next_batch())
            if not self._unsettled:
                self._idle.unpark_all()
                self._wake = trio.Event()
                with trio.CancelScope(deadline=self._retry_at_s or math.inf):
                    await self._wake.wait()
                continue
            await self._write(connection)

    async def _write(self, connection: RedisConnection) -> None:
        replies = [connection.request(*command.arguments) for command in self._unsettled]
        refused: list[_Storing] = []
        for reply in replies:
            try:
                await reply
            except LOST as exc:
                if isinstance(exc, ReadOnlyError):
                    self._pause(str(exc))
                self._storing.extendleft(reversed(refused))
                raise
            except RedisError as exc:
                command = self._unsettled.popleft()
                if command.storing is not None and is_refused_for_now(exc):
                    refused.append(command.storing)
                    self._pause(str(exc))
                else:
                    command.failed(exc)
            else:
                self._unsettled.popleft().done()
        self._storing.extendleft(reversed(refused))

    def _pause(self, why: str) -> None:
        if self._retry_at_s is None or trio.current_time() >= self._retry_at_s:
            self._retries += 1
            self._retry_at_s = trio.current_time() + min(RETRY_S * 2**self._retries, MAX_RETRY_S)
            if self._retries == 1:
                log.warning("%s: Redis stores nothing for now, and is asked again: %s", self.name, why)
                self.on_pause(why)

    def _has_work(self) -> bool:
        return bool(self._unsettled or self._storing or self.outbox or any(self._acks.values()))

    def _next_batch(self) -> Iterator[_Command]:
        for key, acks in self._acks.items():
            if acks:
                batch = [acks.popleft() for _ in range(min(len(acks), BATCH))]
                yield _acknowledgement(key, self.group, batch)
        may_store = self._retry_at_s is None or trio.current_time() >= self._retry_at_s
        for _ in range(min(len(self._storing), BATCH) if may_store else 0):
            yield self._storage(self._storing.popleft())
            self._room.unpark()
        for _ in range(BATCH):
            waiting = self.outbox.take_now()
            if waiting is None:
                break
            yield self._publication(waiting)
        self._room_to_publish.unpark_all()

    def _storage(self, storing: _Storing) -> _Command:
        if storing.number <= self._taken.get(storing.key, 0):
            storing.number = self._number(storing.key)
        data = stamp(storing.data, self.publisher, storing.number)
        limit: tuple[Argument, ...] = (b"MAXLEN", b"~", self.stream_max_length)

        def done() -> None:
            self.stored += 1
            self._taken[storing.key] = storing.number
            storing.settled.set()
            if self._retry_at_s is not None:
                self._retry_at_s, self._retries = None, 0
                self.on_pause(None)

        return _Command((b"XADD", storing.key, *limit, b"*", b"m", data), done, storing.fail, storing)

    def _publication(self, waiting: Waiting) -> _Command:
        skipped = self.outbox.dropped - self._drops_numbered
        self._drops_numbered = self.outbox.dropped
        data = stamp(waiting.data, self.publisher, self._number(self.channel, skipped))
        return _Command((b"PUBLISH", self.channel, data), self._count_published, self._count_refused)

    def _number(self, key: str, skipped: int = 0) -> int:
        number = self._numbers[key] = self._numbers.get(key, 0) + skipped + 1
        return number

    def _count_published(self) -> None:
        self.published += 1

    def _count_refused(self, error: RedisError | None) -> None:
        if error is None:
            return
        self.refused += 1
        if not self._has_logged:
            self._has_logged = True
            log.warning("%s: Redis refused a message; more are only counted: %s", self.name, error)


def _acknowledgement(key: str, group: str, batch: list[tuple[bytes, Callable[[], None]]]) -> _Command:
    def done() -> None:
        for _, settle in batch:
            settle()

    def failed(error: RedisError | None) -> None:
        if error is not None:
            done()  # the stream or the group is gone, and with it what was to be acknowledged

    return _Command((b"XACK", key, group, *(entry for entry, _ in batch)), done, failed)
