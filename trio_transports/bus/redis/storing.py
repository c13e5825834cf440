"""The messages that one process wants stored, in order, until Redis has said that it has them.

Rules
1. They wait for room, then for the server's word that it has them. When the bus ends those that have no answer fail.
2. What the server refuses to store for now (it has no memory, no disk, too few replicas) is tried again, in order,
   until it takes it; ``on_pause`` is told why, and None when it goes on.
3. A message that was refused for now while one after it was taken gets a new number: its own would look like a repeat.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from ...errors import TransportError
from .connection import RedisError

MAX_STORING: Final = 1024
RETRY_S: Final = 0.05
MAX_RETRY_S: Final = 2.0

logger = logging.getLogger(__name__)


@final
@define(eq=False)
class Storing:
    """One message on its way into a stream."""

    key: str
    data: bytes
    number: int = 0
    settled: trio.Event = field(factory=trio.Event)
    has_failed: bool = False
    error: RedisError | None = None

    def fail(self, error: RedisError | None) -> None:
        """Settle it as failed; ``error`` None where the bus was closed first."""
        self.has_failed = True
        self.error = error
        self.settled.set()

    async def wait(self) -> None:
        """Wait until it is stored, or raise why it is not."""
        await self.settled.wait()
        if not self.has_failed:
            return
        if self.error is None:
            raise TransportError(f"the bus has ended, and Redis has not said that a message on {self.key} is stored")
        raise TransportError(f"Redis did not store a message on {self.key}: {self.error}") from self.error


@final
@define(eq=False, kw_only=True)
class ToStore:
    """Any task puts, the writer takes."""

    name: str
    on_pause: Callable[[str | None], None]
    stored: int = field(default=0, init=False)
    retry_at_s: float | None = field(default=None, init=False)
    """When what was refused for now is tried again; None: nothing was."""
    _retries: int = field(default=0, init=False)
    _waiting: deque[Storing] = field(factory=deque, init=False)
    _taken: dict[str, int] = field(factory=dict, init=False)
    """The highest number that the server has taken, by stream."""
    _room: ParkingLot = field(factory=ParkingLot, init=False)
    _is_closed: bool = field(default=False, init=False)

    def __len__(self) -> int:
        return len(self._waiting)

    async def put(self, key: str, data: bytes) -> Storing:
        """Wait for room. Cancelled, it was not put."""
        await trio.lowlevel.checkpoint()
        while len(self._waiting) >= MAX_STORING and not self._is_closed:
            await self._room.park()
        storing = Storing(key, data)
        if self._is_closed:
            storing.fail(None)
        else:
            self._waiting.append(storing)
        return storing

    def take(self, most: int) -> list[Storing]:
        """The next ones, unless what was refused for now is not yet to be tried again."""
        if self.retry_at_s is not None and trio.current_time() < self.retry_at_s:
            return []
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), most))]
        if taken:
            self._room.unpark(count=len(taken))
        return taken

    def put_back(self, refused: list[Storing]) -> None:
        self._waiting.extendleft(reversed(refused))

    def may_keep_its_number(self, storing: Storing) -> bool:
        """Whether no message with a higher number has been taken by the server for that stream."""
        return storing.number > self._taken.get(storing.key, 0)

    def stored_one(self, storing: Storing) -> None:
        """The server has it."""
        self.stored += 1
        self._taken[storing.key] = storing.number
        storing.settled.set()
        if self.retry_at_s is not None:
            self.retry_at_s, self._retries = None, 0
            self.on_pause(None)

    def pause(self, why: str) -> None:
        """The server has refused one for now."""
        if self.retry_at_s is None or trio.current_time() >= self.retry_at_s:
            self._retries += 1
            self.retry_at_s = trio.current_time() + min(RETRY_S * 2**self._retries, MAX_RETRY_S)
            if self._retries == 1:
                logger.warning("%s: Redis stores nothing for now, and is asked again: %s", self.name, why)
                self.on_pause(why)

    def close(self) -> None:
        """Fail what waits, and what anybody still wants to store."""
        self._is_closed = True
        for storing in self._waiting:
            storing.fail(None)
        self._waiting.clear()
        self._room.unpark_all()
