"""A server's way out: when whoever is left is told, in virtual time."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_transports.wire.accepting.leaving import Leaving


async def _listen() -> None:
    await trio.sleep_forever()


async def test_calls_have_the_seconds_that_they_are_given(autojump_clock: MockClock) -> None:
    """The farewell comes then, not before; said again, the earlier time holds, and a later one changes nothing."""
    leaving, told_s = Leaving(), list[float]()

    async def farewell() -> None:
        told_s.append(trio.current_time())

    began_s = trio.current_time()
    with leaving.guest(farewell):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def serve() -> None:
                await leaving.serve(_listen, close_timeout_s=1.0)

            await trio.sleep(1)
            begun = [leaving.has_begun]
            leaving.begin(10)
            assert [*begun, leaving.has_begun] == [False, True]
            await trio.sleep(2)
            leaving.begin(20)
            leaving.begin(5)
            await trio.sleep(4.9)
            assert told_s == []
    assert told_s == [pytest.approx(began_s + 8)]


async def test_with_nobody_there_it_ends_at_once(autojump_clock: MockClock) -> None:
    """And when the last one has gone; a wish that is no time is a mistake."""
    leaving = Leaving()
    with pytest.raises(ValueError, match="0 or more"):
        leaving.begin(-1)
    with pytest.raises(ValueError, match="0 or more"):
        leaving.begin(float("nan"))

    async def unheard() -> None:
        raise AssertionError("nobody is there to be told")

    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            await leaving.serve(_listen, close_timeout_s=1.0)
            assert trio.current_time() - began_s == pytest.approx(3)

        began_s = trio.current_time()
        with leaving.guest(unheard):
            leaving.begin(60)
            await trio.sleep(3)


async def test_calls_may_have_all_the_time_there_is(autojump_clock: MockClock) -> None:
    """Nobody new is let in, and the last call ends it, whenever that is."""
    leaving = Leaving()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            await leaving.serve(_listen, close_timeout_s=1.0)

        with leaving.guest(trio.sleep_forever):
            leaving.begin(float("inf"))
            assert leaving.has_begun
            await trio.sleep(86_400)
    assert trio.current_time() >= 86_400


async def test_nobody_is_waited_for_who_is_not_there(autojump_clock: MockClock) -> None:
    """However much time there would be."""
    leaving = Leaving()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            await leaving.serve(_listen, close_timeout_s=1.0)

        await trio.testing.wait_all_tasks_blocked()
        leaving.begin(60)
    assert trio.current_time() == 0
