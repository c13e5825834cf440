"""What one process writes to Redis: published messages, stored messages, acknowledgements.

Rules
1. Published messages wait in an ``Outbox``: bounded, the oldest data dropped. A dropped one uses up its number, so that
   readers are told a gap. After an outage audio older than ``stale_audio_s`` is dropped too.
2. Stored messages wait for room, then for the server's word that it has them.
3. Commands go out in batches, many on the way at once. Those without an answer when the connection is lost are sent
   again, with the same numbers, on the next one: a reader that has seen a number ignores it.
4. A command that the server refuses fails alone.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from ..errors import TransportError
from .outbox import Outbox, Waiting
from .redis_connection import LOST, Argument, RedisConnection, RedisError
from .sequence import stamp

BATCH: Final = 64
MAX_STORING: Final = 1024

log = logging.getLogger(__name__)


@final
@define(eq=False)
class _Command:
    arguments: tuple[Argument, ...]
    done: Callable[[], None]
    failed: Callable[[RedisError], None]


@final
@define(eq=False)
class _Storing:
    key: str
    data: bytes
    settled: trio.Event = field(factory=trio.Event)
    error: RedisError | None = None

    def fail(self, error: RedisError) -> None:
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
    on_ready: Callable[[], None] = field(default=_nothing, init=False)
    refused: int = field(default=0, init=False)
    published: int = field(default=0, init=False)
    stored: int = field(default=0, init=False)
    _storing: deque[_Storing] = field(factory=deque, init=False)
    _room: ParkingLot = field(factory=ParkingLot, init=False)
    _acks: dict[str, deque[tuple[bytes, Callable[[], None]]]] = field(factory=dict, init=False)
    _unsettled: deque[_Command] = field(factory=deque, init=False)
    _numbers: dict[str, int] = field(factory=dict, init=False)
    _drops_numbered: int = field(default=0, init=False)
    _wake: trio.Event = field(factory=trio.Event, init=False)
    _idle: ParkingLot = field(factory=ParkingLot, init=False)
    _has_logged: bool = field(default=False, init=False)

    def publish(self, waiting: Waiting) -> None:
        self.outbox.put(waiting)
        self._wake.set()

    async def store(self, key: str, data: bytes) -> None:
        """Wait until the server has ``data``. Cancelled, it may have it or not."""
        await trio.lowlevel.checkpoint()
        while len(self._storing) >= MAX_STORING:
            await self._room.park()
        storing = _Storing(key, data)
        self._storing.append(storing)
        self._wake.set()
        await storing.settled.wait()
        if storing.error is not None:
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
        while True:
            if not self._unsettled:
                self._unsettled.extend(self._next_batch())
            if not self._unsettled:
                self._idle.unpark_all()
                self._wake = trio.Event()
                await self._wake.wait()
                continue
            await self._write(connection)

    async def _write(self, connection: RedisConnection) -> None:
        replies = [connection.request(*command.arguments) for command in self._unsettled]
        for reply in replies:
            try:
                await reply
            except LOST:
                raise
            except RedisError as exc:
                self._unsettled.popleft().failed(exc)
            else:
                self._unsettled.popleft().done()

    def _has_work(self) -> bool:
        return bool(self._unsettled or self._storing or self.outbox or any(self._acks.values()))

    def _next_batch(self) -> Iterator[_Command]:
        for key, acks in self._acks.items():
            if acks:
                batch = [acks.popleft() for _ in range(min(len(acks), BATCH))]
                yield _acknowledgement(key, self.group, batch)
        for _ in range(min(len(self._storing), BATCH)):
            yield self._storage(self._storing.popleft())
            self._room.unpark()
        for _ in range(BATCH):
            waiting = self.outbox.take_now()
            if waiting is None:
                break
            yield self._publication(waiting)

    def _storage(self, storing: _Storing) -> _Command:
        data = stamp(storing.data, self.publisher, self._number(storing.key))
        limit: tuple[Argument, ...] = (b"MAXLEN", b"~", self.stream_max_length)

        def done() -> None:
            self.stored += 1
            storing.settled.set()

        return _Command((b"XADD", storing.key, *limit, b"*", b"m", data), done, storing.fail)

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

    def _count_refused(self, error: RedisError) -> None:
        self.refused += 1
        if not self._has_logged:
            self._has_logged = True
            log.warning("%s: Redis refused a message; more are only counted: %s", self.name, error)


def _acknowledgement(key: str, group: str, batch: list[tuple[bytes, Callable[[], None]]]) -> _Command:
    def done() -> None:
        for _, settle in batch:
            settle()

    def failed(_: RedisError) -> None:
        done()  # the stream or the group is gone, and with it what was to be acknowledged

    return _Command((b"XACK", key, group, *(entry for entry, _ in batch)), done, failed)
