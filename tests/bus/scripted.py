"""A connection to Redis whose server is a function: what it is asked is written down, what it says is its result."""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, cast

import trio
from anyio import CapacityLimiter
from coredis import BaseConnection
from trio.lowlevel import ParkingLot

from trio_transports.bus.redis.connection import RedisConnection

Answer = Callable[[tuple[Any, ...]], object]
"""Of a command: the reply, the error that it is, or an event that has to come first (then the reply is nothing)."""


def taken(command: tuple[Any, ...]) -> object:
    """What a server says that takes everything."""
    return 1


class _Reply:
    def __init__(self, value: object) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, Any, object]:
        return self._wait().__await__()

    async def _wait(self) -> object:
        await trio.lowlevel.checkpoint()
        if isinstance(self._value, trio.Event):
            await self._value.wait()
            return None
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


class Server:
    """Stands where coredis has its connection."""

    def __init__(self, answer: Answer = taken) -> None:
        self.answer = answer
        self.commands: list[tuple[Any, ...]] = []
        self.timeouts: list[float | None] = []
        self._pushed: deque[list[bytes]] = deque()
        self._pushes = ParkingLot()
        self.connection = RedisConnection(cast(BaseConnection, self), CapacityLimiter(1))

    def push(self, *pushed: list[bytes]) -> None:
        self._pushed.extend(pushed)
        self._pushes.unpark_all()

    # What coredis has.

    def create_request(self, *command: object, timeout: float | None = None) -> _Reply:
        self.commands.append(command)
        self.timeouts.append(timeout)
        return _Reply(self.answer(command))

    def send_command(self, *command: object) -> None:
        self.commands.append(command)

    @property
    def reusable(self) -> bool:
        return not self._pushed

    @property
    async def push_messages(self) -> AsyncGenerator[list[bytes], None]:
        while True:
            while not self._pushed:
                await self._pushes.park()
            yield self._pushed.popleft()
