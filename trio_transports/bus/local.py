"""The bus inside one process, and what any bus is.

Rules
1. ``send`` gives a message to every subscriber that accepts it, at once. It never waits for one, nor fails for one.
2. Subscribers get the messages of one sender in the order they were sent, system messages ahead of data.
3. ``running`` is the life of the bus: when it ends, every subscription ends after what waits in it was read. A
   ``LocalBus`` also works without it.
4. A bus that keeps messages can ``hold`` them back until ``release``, so that those who will want them can subscribe.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, final

import trio

from ..errors import LocalProtocolError
from .messages import BusMessage
from .subscription import DATA_BUFFER, SYSTEM_BUFFER, BusSubscription, Fanout

Accepts = Callable[[BusMessage], bool]


class Bus(Protocol):
    """What workers, runners and proxies ask of a bus."""

    async def send(self, message: BusMessage) -> None: ...

    def subscribe(
        self,
        name: str,
        *,
        accepts: Accepts | None = None,
        data_buffer: int = DATA_BUFFER,
        system_buffer: int = SYSTEM_BUFFER,
    ) -> BusSubscription: ...

    @property
    def is_running(self) -> bool: ...

    def running(self, *, hold: bool = False) -> AbstractAsyncContextManager[object]: ...

    def release(self) -> None: ...


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
