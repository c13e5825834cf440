"""What any bus is, in one process or over a server.

Rules
1. ``send`` gives a message to every subscriber that accepts it. It waits for none of them, and fails for none.
2. Subscribers get the messages of one sender in the order they were sent, system messages ahead of data.
3. ``running`` is the life of the bus: when it ends, every subscription ends after what waits in it was read.
4. A bus that keeps messages can ``hold`` them back until ``release``, so that those who will want them can subscribe.
"""

from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, Unpack

from .messages import BusMessage
from .subscription import BusSubscription, SubscribeOptions

GOODBYE_S: Final = 1.0
"""How long who ends, cancelled or not, may still take to tell those whom it concerns."""


class Bus(Protocol):
    """What workers, runners and proxies ask of a bus."""

    async def send(self, message: BusMessage) -> None:
        """Send to every subscriber. It may wait for those that are slow."""

    def send_now(self, message: BusMessage) -> bool:
        """Send without waiting; False where that cannot be, and ``send`` has to be used. It is no checkpoint."""

    def subscribe(self, name: str, **options: Unpack[SubscribeOptions]) -> BusSubscription:
        """Have messages queued under that name from now on."""

    @property
    def is_running(self) -> bool:
        """Whether it can be sent on."""

    def running(self, *, hold: bool = False) -> AbstractAsyncContextManager[object]:
        """Run it for as long as the block does.

        With ``hold`` it goes on until ``release``, for those that still have something to say.
        """

    def release(self) -> None:
        """Let a held bus end."""
