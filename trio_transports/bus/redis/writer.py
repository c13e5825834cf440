"""What one process writes to Redis: published messages, stored messages, acknowledgements.

Rules
1. Published messages come from ``Publishing``, whose rules say who waits and what is dropped.
2. Stored messages come from ``ToStore``, whose rules say what is tried again, and under which number.
3. Commands go out in batches, many on the way at once. Those without an answer when the connection is lost are sent
   again, with the same numbers, on the next one: a reader that has seen a number ignores it.
4. A command that the server refuses fails alone. While what is refused for now waits, everything else goes on. A
   server that is read-only is a lost connection: the next one goes to whoever took over.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from ..outbox import Waiting
from .connection import LOST, Argument, ReadOnlyError, RedisConnection, RedisError, is_refused_for_now
from .publishing import Command, Publishing
from .sequence import stamp
from .storing import Storing, ToStore

BATCH: Final = 64


@final
@define(eq=False)
class _Storage(Command):
    storing: Storing


def _nothing() -> None: ...


@final
@define(eq=False, kw_only=True)
class RedisWriter:
    """One task runs ``use``; any task puts."""

    publisher: str
    group: str
    stream_max_length: int
    publishing: Publishing
    to_store: ToStore
    on_ready: Callable[[], None] = field(default=_nothing, init=False)
    _acks: dict[str, deque[tuple[bytes, Callable[[], None]]]] = field(factory=dict, init=False)
    _unsettled: deque[Command] = field(factory=deque, init=False)
    _numbers: dict[str, int] = field(factory=dict, init=False)
    _wake: trio.Event = field(factory=trio.Event, init=False)
    _idle: ParkingLot = field(factory=ParkingLot, init=False)

    def publish(self, waiting: Waiting) -> None:
        self.publishing.outbox.put(waiting)
        self._wake.set()

    async def store(self, key: str, data: bytes) -> None:
        """Wait until the server has ``data``. Cancelled, it may have it or not."""
        storing = await self.to_store.put(key, data)
        self._wake.set()
        await storing.wait()

    def acknowledge(self, key: str, entry: bytes, done: Callable[[], None]) -> None:
        """Tell Redis that an entry was dealt with, some time soon; ``done`` is called when it has been told."""
        self._acks.setdefault(key, deque()).append((entry, done))
        self._wake.set()

    async def drained(self) -> None:
        """Wait until nothing is left to write."""
        while self._has_work():
            await self._idle.park()

    async def use(self, connection: RedisConnection) -> None:
        """Write on one connection until it is lost."""
        self.on_ready()
        with self.publishing.connected():
            await self._write_all(connection)

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
                # With nothing to store there is nothing to try again: what was due long ago would let nobody sleep.
                retry_at_s = self.to_store.retry_at_s if self.to_store else None
                with trio.CancelScope(deadline=retry_at_s or math.inf):
                    await self._wake.wait()
                continue
            await self._write(connection)

    async def _write(self, connection: RedisConnection) -> None:
        replies = [connection.request(*command.arguments) for command in self._unsettled]
        refused: list[Storing] = []
        try:
            for reply in replies:
                try:
                    await reply
                except LOST as exc:
                    if isinstance(exc, ReadOnlyError) and self._is_storing:
                        self.to_store.pause(str(exc))
                    raise
                except RedisError as exc:
                    command = self._unsettled.popleft()
                    if isinstance(command, _Storage) and is_refused_for_now(exc):
                        refused.append(command.storing)
                        self.to_store.pause(str(exc))
                    else:
                        command.failed(exc)
                else:
                    self._unsettled.popleft().done()
        finally:  # cancelled, too: the end of the bus lets go who stores
            self.to_store.put_back(refused)

    @property
    def _is_storing(self) -> bool:
        return bool(self.to_store) or any(isinstance(command, _Storage) for command in self._unsettled)

    def _has_work(self) -> bool:
        return bool(self._unsettled or self.to_store or self.publishing.outbox or any(self._acks.values()))

    def _next_batch(self) -> Iterator[Command]:
        for key, acks in self._acks.items():
            if acks:
                batch = [acks.popleft() for _ in range(min(len(acks), BATCH))]
                yield _acknowledgement(key, self.group, batch)
        for storing in self.to_store.take(BATCH):
            yield self._storage(storing)
        yield from self.publishing.take(BATCH)

    def _storage(self, storing: Storing) -> Command:
        if not self.to_store.may_keep_its_number(storing):
            storing.number = self._numbers[storing.key] = self._numbers.get(storing.key, 0) + 1
        data = stamp(storing.data, self.publisher, storing.number)
        limit: tuple[Argument, ...] = (b"MAXLEN", b"~", self.stream_max_length)

        return _Storage(
            (b"XADD", storing.key, *limit, b"*", b"m", data),
            partial(self.to_store.stored_one, storing),
            storing.fail,
            storing,
        )


def _acknowledgement(key: str, group: str, batch: list[tuple[bytes, Callable[[], None]]]) -> Command:
    def done() -> None:
        for _, settle in batch:
            settle()

    def failed(error: RedisError | None) -> None:
        if error is not None:
            done()  # the stream or the group is gone, and with it what was to be acknowledged

    return Command((b"XACK", key, group, *(entry for entry, _ in batch)), done, failed)
