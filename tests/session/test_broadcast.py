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


@pytest.mark.parametrize("between", [1, 7])
async def test_a_reader_that_is_always_slower_has_a_value_for_each_loss(between: int) -> None:
    """Values come between any two that it reads, for a hundred: each one is given or told as lost, in order."""
    source: Broadcast[int] = Broadcast()
    subscription = source.subscribe(buffer=5)
    sent, got = 0, list[int | EventsLost]()
    with source.activity():
        for _ in range(100):
            for _ in range(between):
                source.emit(sent)
                sent += 1
            got.append(await subscription.receive())
    async for value in subscription:
        got.append(value)
    place = 0
    for value in got:
        if isinstance(value, EventsLost):
            place += value.count
        else:
            assert value == place
            place += 1
    assert place == sent
    losses = [index for index, value in enumerate(got) if isinstance(value, EventsLost)]
    assert all(not isinstance(got[index + 1], EventsLost) for index in losses)
    assert len(losses) == (0 if between == 1 else pytest.approx(50, abs=3))
