"""The connections of one bus: each of its tasks has one, and gets the next when that is lost."""

from collections.abc import Awaitable, Callable, Sequence
from typing import final

import trio
from attrs import define, field

from ...errors import TransportError
from .connection import RedisConnection, RedisServer, keep_connected


@final
@define(eq=False)
class Connections:
    """Each task runs ``keep``; whoever wants them all to be there waits for ``first``."""

    server: RedisServer
    lost: int = field(default=0, init=False)
    """How often one was."""
    _last_cause: Exception | None = field(default=None, init=False)
    _refusal: TransportError | None = field(default=None, init=False)
    _refused: trio.Event = field(factory=trio.Event, init=False)

    async def keep(self, use: Callable[[RedisConnection], Awaitable[None]], what: str) -> None:
        """Run ``use`` on one connection after another; return if the server refuses the first."""
        try:
            await keep_connected(self.server, use, what=what, on_lost=self._lose)
        except TransportError as exc:
            self._refusal = exc
            self._refused.set()

    def _lose(self, cause: Exception) -> None:
        self.lost += 1
        self._last_cause = cause

    async def first(self, ready: Sequence[trio.Event]) -> None:
        """Wait for the first connection of each task, which sets its event, or raise what kept it from coming."""

        async def all_connected() -> None:
            for connection in ready:
                await connection.wait()
            nursery.cancel_scope.cancel()

        async def one_refused() -> None:
            await self._refused.wait()
            nursery.cancel_scope.cancel()

        with trio.move_on_after(self.server.connect_timeout) as limit:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(all_connected)
                nursery.start_soon(one_refused)
        if self._refusal is not None:
            raise self._refusal
        if limit.cancelled_caught:
            raise TransportError(
                f"no connection to {self.server} within connect_timeout ({self.server.connect_timeout:g} s): "
                f"{self._last_cause or 'no answer'}"
            ) from self._last_cause
