"""A crowd on its way in leaves the calls under way their turns."""

import pytest
import trio
from attrs import define, field

from trio_transports.wire.accepting.listening import ACCEPTS_AT_ONCE, ACCEPTS_PER_S, accept_from

CROWD = 1000
IN_TIME_S = 2 * CROWD / ACCEPTS_PER_S


@define(eq=False)
class Crowd(trio.abc.Listener[trio.abc.Stream]):
    """So many callers stand before the door at once; whoever comes later is added."""

    waiting: int
    times_s: list[float] = field(factory=list)
    """When each was taken."""

    async def accept(self) -> trio.abc.Stream:
        while not self.waiting:  # noqa: ASYNC110 - nobody tells a listener
            await trio.sleep(IN_TIME_S)
        await trio.lowlevel.checkpoint()
        self.waiting -= 1
        return trio.testing.memory_stream_pair()[0]

    def take(self, _stream: object) -> None:
        self.times_s.append(trio.current_time())

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_no_more_than_a_few_are_accepted_without_a_rest(autojump_clock: trio.testing.MockClock) -> None:
    """A thousand stand there, and a thousand more: all get in, in their time, and no more than a few at a moment."""
    crowd = Crowd(CROWD)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_from, crowd, crowd.take)
        for _ in range(2):
            await trio.sleep(IN_TIME_S)
            took_s = crowd.times_s
            assert len(took_s) == CROWD
            most = max(took_s.count(moment_s) for moment_s in set(took_s))
            assert most == ACCEPTS_AT_ONCE
            assert took_s[-1] - took_s[0] == pytest.approx((CROWD - ACCEPTS_AT_ONCE) / ACCEPTS_PER_S, rel=0.01)
            crowd.times_s, crowd.waiting = [], CROWD
        nursery.cancel_scope.cancel()


async def test_a_few_are_let_in_at_the_moment_they_come(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody who comes with few others waits for a crowd that is not there, also after one."""
    for before in (0, CROWD):
        crowd = Crowd(before)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept_from, crowd, crowd.take)
            await trio.sleep(1.5 * IN_TIME_S)
            assert len(crowd.times_s) == before
            crowd.times_s, crowd.waiting = [], ACCEPTS_AT_ONCE
            await trio.sleep(IN_TIME_S)
            assert len(crowd.times_s) == ACCEPTS_AT_ONCE
            assert len(set(crowd.times_s)) == 1
            nursery.cancel_scope.cancel()
