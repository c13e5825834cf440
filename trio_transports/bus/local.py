"""The bus inside one process: fan-out, and nothing between sender and subscribers. ``running`` is optional."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

import trio

from ..errors import LocalProtocolError
from .bus import Accepts
from .messages import BusMessage
from .subscription import DATA_BUFFER, SYSTEM_BUFFER, BusSubscription, Fanout


@final
class LocalBus:
    """Fan-out in one process."""

    def __init__(self) -> None:
        self._fanout = Fanout()
        self._running = False

    def __repr__(self) -> str:
        return f"<LocalBus with {len(self._fanout.subscriptions)} subscribers>"

    async def send(self, message: BusMessage) -> None:
        """Deliver ``message``. Cancelled, it was not delivered."""
        await trio.lowlevel.checkpoint()
        self._fanout.deliver(message)

    def subscribe(
        self,
        name: str,
        *,
        accepts: Accepts | None = None,
        data_buffer: int = DATA_BUFFER,
        system_buffer: int = SYSTEM_BUFFER,
    ) -> BusSubscription:
        """Read what is sent from now on; ``accepts`` says of which messages, and must be quick."""
        return self._fanout.subscribe(name, accepts, data_buffer, system_buffer)

    @property
    def is_running(self) -> bool:
        return self._running

    @asynccontextmanager
    async def running(self, *, hold: bool = False) -> AsyncIterator["LocalBus"]:
        if self._running:
            raise LocalProtocolError("this bus is already running: enter running() once")
        self._running = True
        try:
            await trio.lowlevel.checkpoint()
            yield self
        finally:
            self._running = False
            self._fanout.end()

    def release(self) -> None:
        """Do nothing: this bus holds nothing back."""
