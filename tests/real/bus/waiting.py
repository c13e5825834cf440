"""What the tests over real servers wait with."""

from collections.abc import Callable

import trio

from trio_transports.bus import BusDataMessage, BusMessage, BusSubscription
from trio_transports.params import ReconnectPolicy

PATIENCE_S = 60
"""For what happens at once where the machine is not busy with other things."""
QUICK = ReconnectPolicy(initial_delay=0.02, max_delay=0.2)


def data(number: int, source: str = "s") -> BusDataMessage:
    return BusDataMessage(source=source, id=number)


async def until(condition: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
    """Wait for what nobody announces."""
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110 - a counter of the bus, or of the server's
            await trio.sleep(0.01)


async def take(subscription: BusSubscription, count: int) -> list[BusMessage]:
    with trio.fail_after(PATIENCE_S):
        return [await subscription.receive() for _ in range(count)]
