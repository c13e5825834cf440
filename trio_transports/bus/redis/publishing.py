"""What one process publishes: it waits for its connection, within bounds, and is sent to whoever listens.

Rules
1. While there is a connection, a sender of data waits for room when more than ``HIGH_WATER`` wait: it is slowed to what
   Redis takes. While there is none nobody waits: the outbox is bounded, and its oldest data dropped.
2. A dropped message uses up its number, so that readers are told a gap.
3. After an outage audio older than ``stale_audio_s`` is dropped too.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from ..outbox import Outbox, Waiting
from .connection import Argument, RedisError
from .sequence import stamp

HIGH_WATER: Final = 512

logger = logging.getLogger(__name__)


@define(eq=False)
class Command:
    """What is asked of the server, and who is told how it went: None is no answer."""

    arguments: tuple[Argument, ...]
    done: Callable[[], None]
    failed: Callable[[RedisError | None], None]


@final
@define(eq=False, kw_only=True)
class Publishing:
    """Any task puts, the writer takes."""

    name: str
    channel: str
    publisher: str
    outbox: Outbox
    stale_audio_s: float
    published: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)
    _number: int = field(default=0, init=False)
    _drops_numbered: int = field(default=0, init=False)
    _is_connected: bool = field(default=False, init=False)
    _room: ParkingLot = field(factory=ParkingLot, init=False)

    async def wait_for_room(self) -> None:
        """Wait until a little waits, or nothing can be written anyway. Cancelling it changes nothing."""
        await trio.lowlevel.checkpoint()
        high_water = min(HIGH_WATER, self.outbox.max_messages // 2)
        while self._is_connected and len(self.outbox) > high_water:
            await self._room.park()

    @contextmanager
    def connected(self) -> Iterator[None]:
        """There is a connection while the body runs."""
        self.outbox.drop_stale_audio(trio.current_time() - self.stale_audio_s)
        self._is_connected = True
        try:
            yield
        finally:
            self._is_connected = False
            self._room.unpark_all()

    def take(self, most: int) -> Iterator[Command]:
        """The next ones."""
        for _ in range(most):
            waiting = self.outbox.take_now()
            if waiting is None:
                break
            yield self._publication(waiting)
        self._room.unpark_all()

    def _publication(self, waiting: Waiting) -> Command:
        skipped = self.outbox.dropped - self._drops_numbered
        self._drops_numbered += skipped
        self._number += skipped + 1
        data = stamp(waiting.data, self.publisher, self._number)
        return Command((b"PUBLISH", self.channel, data), self._count_published, self._count_refused)

    def _count_published(self) -> None:
        self.published += 1

    def _count_refused(self, error: RedisError | None) -> None:
        if error is None:
            return
        self.refused += 1
        if self.refused == 1:
            logger.warning("%s: Redis refused a message; more are only counted: %s", self.name, error)
