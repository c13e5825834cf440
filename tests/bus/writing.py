"""What a writer to Redis stands on, over a server that is a function."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from coredis import exceptions

from tests.bus.scripted import Answer, Server, taken
from trio_transports.bus.outbox import Outbox, Waiting
from trio_transports.bus.redis.publishing import Publishing
from trio_transports.bus.redis.sequence import Stamp, unstamp
from trio_transports.bus.redis.storing import ToStore
from trio_transports.bus.redis.writer import RedisWriter

PUBLISHER = "0123456789abcdef"
LOST = exceptions.ConnectionError("lost")
NO_MEMORY = exceptions.ResponseError("OOM command not allowed when used memory > 'maxmemory'")
REFUSED = exceptions.ResponseError("WRONGTYPE it is no stream")


def waiting(text: str, **more: Any) -> Waiting:  # noqa: ANN401 - any field of it
    return Waiting(text.encode(), False, **more)


class Bus:
    """What a writer stands on, and what it tells."""

    def __init__(self, max_messages: int = 4096) -> None:
        self.pauses: list[str | None] = []
        self.publishing = Publishing(
            name="bus",
            channel="channel",
            publisher=PUBLISHER,
            outbox=Outbox(max_messages=max_messages, max_audio_s=math.inf),
            stale_audio_s=1.0,
        )
        self.to_store = ToStore(name="bus", on_pause=self.pauses.append)
        self.writer = RedisWriter(
            publisher=PUBLISHER,
            group="group",
            stream_max_length=1000,
            publishing=self.publishing,
            to_store=self.to_store,
        )

    def publish(self, *texts: str) -> None:
        for text in texts:
            self.writer.publish(waiting(text))

    @asynccontextmanager
    async def connected(self, answer: Answer = taken) -> AsyncIterator[Server]:
        """Write to such a server while the body runs."""
        server = Server(answer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.writer.use, server.connection)
            await trio.testing.wait_all_tasks_blocked()
            yield server
            nursery.cancel_scope.cancel()

    async def until_lost(self, answer: Answer) -> Server:
        """Write to a server until the connection to it is lost."""
        server = Server(answer)
        with pytest.raises((exceptions.ConnectionError, exceptions.ReadOnlyError)):
            await self.writer.use(server.connection)
        return server


def numbered(server: Server, name: bytes = b"PUBLISH") -> list[tuple[int, str]]:
    """What the server was told of one kind: numbers and texts."""
    found = []
    for command in server.commands:
        if command[0] == name:
            stamp, data = unstamp(command[-1])
            assert isinstance(stamp, Stamp)
            found.append((stamp.number, data.decode()))
    return found


def failing(when: Callable[[tuple[Any, ...]], bool], error: Exception) -> Answer:
    return lambda command: error if when(command) else taken(command)


def says(text: str) -> Callable[[tuple[Any, ...]], bool]:
    return lambda command: command[-1].endswith(text.encode())
