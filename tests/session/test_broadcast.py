"""One source and its readers: what is kept of values that are too large each."""

import pytest
import trio

from trio_transports.session.broadcast import Broadcast, EventsLost


@pytest.mark.parametrize("large", [2, 5])
async def test_the_newest_is_kept_whatever_it_takes(large: int) -> None:
    """Of several that are over the bound each, the newest; the others are told, again and again."""
    source: Broadcast[str] = Broadcast(10, len)
    subscription = source.subscribe()
    with source.activity():
        for _ in range(2):
            for number in range(large):
                source.emit(str(number) * 11)
            assert await subscription.receive() == EventsLost(large - 1)
            assert await subscription.receive() == str(large - 1) * 11
    with pytest.raises(trio.EndOfChannel):
        await subscription.receive()
