"""The bus inside one process: fan-out, and nothing between sender and subscribers. ``running`` is optional.

Sending is a point of cancellation each time, and one of scheduling at each ``TURN``-th message and where a reader has
much to read: a switch of tasks costs more than what most messages do.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack, final

import trio
from attrs import define, field

from .._documented import documented
from ..errors import LocalProtocolError
from .messages import BusMessage
from .subscription import TURN, BusSubscription, Fanout, SubscribeOptions


@documented
@final
@define(eq=False, repr=False)
class LocalBus:
    """Fan-out in one process."""

    _fanout: Fanout = field(factory=Fanout, init=False)
    is_running: bool = field(default=False, init=False)
    """True: a bus in one process needs nothing to run."""
    _turns: int = field(default=0, init=False)
    _is_crowded: bool = field(default=False, init=False)
    """Somebody has to read before more is sent."""

    def __repr__(self) -> str:
        return f"<LocalBus with {len(self._fanout.subscriptions)} subscribers>"

    async def send(self, message: BusMessage) -> None:
        """Deliver ``message``. Cancelled, it was not delivered.

        It lets other tasks run when a subscriber has much to read, and else at each ``TURN``-th message.
        """
        self._turns += 1
        if self._is_crowded or self._turns % TURN == 0:
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
        self._is_crowded = self._fanout.deliver(message)

    def send_now(self, message: BusMessage) -> bool:
        """Deliver ``message``, which here never needs to wait."""
        self._is_crowded = self._fanout.deliver(message)
        return True

    def subscribe(self, name: str, **options: Unpack[SubscribeOptions]) -> BusSubscription:
        """Read what is sent from now on."""
        return self._fanout.subscribe(name, **options)

    @asynccontextmanager
    async def running(self, *, hold: bool = False) -> AsyncIterator["LocalBus"]:
        """The bus's life, for whoever wants its subscriptions to end with it. It holds nothing back, ever.

        So ``hold``, which has other buses keep messages back until ``release``, changes nothing here.
        """
        if self.is_running:
            raise LocalProtocolError("this bus is already running: enter running() once")
        self.is_running = True
        try:
            await trio.lowlevel.checkpoint()
            yield self
        finally:
            self.is_running = False
            self._fanout.end()

    def release(self) -> None:
        """Do nothing: this bus holds nothing back."""
