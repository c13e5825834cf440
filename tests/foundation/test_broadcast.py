"""One source, any number of readers: its rules."""

import pytest
import trio
from trio.testing import MockClock

from trio_transports.session.broadcast import Broadcast, EventsLost


async def test_every_subscriber_gets_every_value() -> None:
    """Each has a buffer of its own, from its subscription on, and ends when it is read after the activity's end."""
    source: Broadcast[int] = Broadcast()
    first = source.subscribe()
    with source.activity():
        source.emit(1)
        second = source.subscribe()
        source.emit(2)
    assert [value async for value in first] == [1, 2]
    assert [value async for value in second] == [2]
    with pytest.raises(trio.EndOfChannel):
        await first.receive()


async def test_a_reader_that_does_not_read_loses_its_oldest() -> None:
    """It is told how many, in their place; the others lose nothing, and emitting never waits."""
    source: Broadcast[int] = Broadcast()
    slow, fast = source.subscribe(buffer=3), source.subscribe()
    with source.activity():
        for value in range(10):
            source.emit(value)
        assert [await slow.receive() for _ in range(2)] == [EventsLost(7), 7]
        for value in range(10, 13):
            source.emit(value)
    assert [value async for value in slow] == [EventsLost(2), 10, 11, 12]
    assert [value async for value in fast] == list(range(13))


async def test_no_subscriber_no_cost() -> None:
    """Nothing is kept for nobody."""
    source: Broadcast[int] = Broadcast()
    had = [source.has_subscribers]
    source.emit(1)
    late = source.subscribe()
    had.append(source.has_subscribers)
    await late.aclose()
    had.append(source.has_subscribers)
    assert had == [False, True, False]


async def test_the_last_activity_ends_it(autojump_clock: MockClock) -> None:
    """Subscriptions stay open while any activity lasts, end with the last, and can be made anew for the next."""
    source: Broadcast[int] = Broadcast()
    for turn in range(2):
        subscription = source.subscribe()
        ends_s: list[float] = []
        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def read() -> None:
                assert [value async for value in subscription] == [turn, turn]  # noqa: B023
                ends_s.append(trio.current_time() - began_s)  # noqa: B023

            async def act(duration_s: float) -> None:
                with source.activity():
                    source.emit(turn)  # noqa: B023
                    await trio.sleep(duration_s)

            nursery.start_soon(act, 1)
            nursery.start_soon(act, 2)
        assert ends_s == [2]
        assert not source.has_subscribers


async def test_cancelling_a_read_loses_nothing(autojump_clock: MockClock) -> None:
    """A reader cancelled at any time finds the next value later."""
    source: Broadcast[int] = Broadcast()
    subscription = source.subscribe()
    with trio.move_on_after(1):
        await subscription.receive()
    source.emit(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await subscription.receive()
    assert await subscription.receive() == 1


async def test_a_closed_subscription() -> None:
    """Closing wakes who waits, and a closed one raises ClosedResourceError; closing twice is nothing."""
    source: Broadcast[int] = Broadcast()
    subscription = source.subscribe()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await subscription.receive()

        await trio.testing.wait_all_tasks_blocked()
        await subscription.aclose()
    source.emit(1)
    with pytest.raises(trio.ClosedResourceError):
        await subscription.receive()
    await subscription.aclose()


def test_a_buffer_of_nothing() -> None:
    """A buffer holds at least one value."""
    with pytest.raises(ValueError, match="buffer must be at least 1, not 0"):
        Broadcast[int]().subscribe(buffer=0)
