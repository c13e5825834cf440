"""What any bus is, in one process or over a server.

Rules
1. ``send`` gives a message to every subscriber that accepts it. It waits for none of them, and fails for none.
2. Subscribers get the messages of one sender in the order they were sent, system messages ahead of data.
3. ``running`` is the life of the bus: when it ends, every subscription ends after what waits in it was read.
4. A bus that keeps messages can ``hold`` them back until ``release``, so that those who will want them can subscribe.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol, Unpack

from .messages import BusMessage
from .subscription import BusSubscription, SubscribeOptions


class Bus(Protocol):
    """What workers, runners and proxies ask of a bus."""

    async def send(self, message: BusMessage) -> None: ...

    def send_now(self, message: BusMessage) -> bool:
        """Send without waiting; False where that cannot be, and ``send`` has to be used. It is no checkpoint."""

    def subscribe(self, name: str, **options: Unpack[SubscribeOptions]) -> BusSubscription: ...

    @property
    def is_running(self) -> bool: ...

    def running(self, *, hold: bool = False) -> AbstractAsyncContextManager[object]: ...

    def release(self) -> None: ...
