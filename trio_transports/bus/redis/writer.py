"""What one process writes to Redis: published messages, stored messages, acknowledgements.

Rules
1. Published messages wait in an ``Outbox``. While there is a connection, a sender of data waits for room when more than
   ``HIGH_WATER`` wait: it is slowed to what Redis takes. While there is none nobody waits: the outbox is bounded, the
   oldest data dropped, and a dropped one uses up its number, so that readers are told a gap. After an outage audio
   older than ``stale_audio_s`` is dropped too.
2. Stored messages come from ``ToStore``, whose rules say what is tried again, and under which number.
3. Commands go out in batches, many on the way at once. Those without an answer when the connection is lost are sent
   again, with the same numbers, on the next one: a reader that has seen a number ignores it.
4. A command that the server refuses fails alone. While what is refused for now waits, everything else goes on. A
   server that is read-only is a lost connection: the next one goes to whoever took over.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from ..outbox import Outbox, Waiting
from .connection import LOST, Argument, ReadOnlyError, RedisConnection, RedisError, is_refused_for_now
from .sequence import stamp
from .storing import Storing, ToStore

BATCH: Final = 64
HIGH_WATER: Final = 512

log = logging.getLogger(__name__)


@final
@define(eq=False)
class _Command:
    arguments: tuple[Argument, ...]
    done: Callable[[], None]
    failed: Callable[[RedisError | None], None]
    storing: Storing | None = None


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
    to_store: ToStore
    on_ready: Callable[[], None] = field(default=_nothing, init=False)
    refused: int = field(default=0, init=False)
    published: int = field(default=0, init=False)
    _acks: dict[str, deque[tuple[bytes, Callable[[], None]]]] = field(factory=dict, init=False)
    _unsettled: deque[_Command] = field(factory=deque, init=False)
    _numbers: dict[str, int] = field(factory=dict, init=False)
    _drops_numbered: int = field(default=0, init=False)
    _wake: trio.Event = field(factory=trio.Event, init=False)
    _idle: ParkingLot = field(factory=ParkingLot, init=False)
    _has_logged: bool = field(default=False, init=False)
    _is_connected: bool = field(default=False, init=False)
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
        storing = await self.to_store.put(key, data)
        self._wake.set()
        await storing.wait()

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
        for command in self._unsettled:
            command.failed(None)
        self._unsettled.clear()
        self.to_store.close()

    async def _write_all(self, connection: RedisConnection) -> None:
        while True:
            if not self._unsettled:
                self._unsettled.extend(self._next_batch())
            if not self._unsettled:
                self._idle.unpark_all()
                self._wake = trio.Event()
                with trio.CancelScope(deadline=self.to_store.retry_at_s or math.inf):
                    await self._wake.wait()
                continue
            await self._write(connection)

    async def _write(self, connection: RedisConnection) -> None:
        replies = [connection.request(*command.arguments) for command in self._unsettled]
        refused: list[Storing] = []
        for reply in replies:
            try:
                await reply
            except LOST as exc:
                if isinstance(exc, ReadOnlyError):
                    self.to_store.pause(str(exc))
                self.to_store.put_back(refused)
                raise
            except RedisError as exc:
                command = self._unsettled.popleft()
                if command.storing is not None and is_refused_for_now(exc):
                    refused.append(command.storing)
                    self.to_store.pause(str(exc))
                else:
                    command.failed(exc)
            else:
                self._unsettled.popleft().done()
        self.to_store.put_back(refused)

    def _has_work(self) -> bool:
        return bool(self._unsettled or self.to_store or self.outbox or any(self._acks.values()))

    def _next_batch(self) -> Iterator[_Command]:
        for key, acks in self._acks.items():
            if acks:
                batch = [acks.popleft() for _ in range(min(len(acks), BATCH))]
                yield _acknowledgement(key, self.group, batch)
        for storing in self.to_store.take(BATCH):
            yield self._storage(storing)
        for _ in range(BATCH):
            waiting = self.outbox.take_now()
            if waiting is None:
                break
            yield self._publication(waiting)
        self._room_to_publish.unpark_all()

    def _storage(self, storing: Storing) -> _Command:
        if not self.to_store.may_keep_its_number(storing):
            storing.number = self._number(storing.key)
        data = stamp(storing.data, self.publisher, storing.number)
        limit: tuple[Argument, ...] = (b"MAXLEN", b"~", self.stream_max_length)

        return _Command(
            (b"XADD", storing.key, *limit, b"*", b"m", data),
            partial(self.to_store.stored_one, storing),
            storing.fail,
            storing,
        )

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
