"""Messages handed over where another task reads them."""

from collections import deque

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.wire.receiver import _AT_ONCE, Receiver


@define(eq=False)
class Receiving:
    """One that waits, until a message that is ``wanted``; ``bad`` ones make it fail."""

    receiver: Receiver = field(factory=Receiver)
    got: list[str | bytes] = field(factory=list)
    ends: list[object] = field(factory=list)

    def take(self, message: str | bytes) -> bool:
        if message == "bad":
            raise ValueError("a bad message")
        self.got.append(message)
        return message == "wanted"

    async def receive(self) -> None:
        try:
            self.ends.append(await self.receiver.receive_each(self.take))
        except ValueError as exc:
            self.ends.append(str(exc))


async def hand_over(receiving: Receiving, *messages: str) -> list[str | bytes]:
    """What is left of them."""
    arrived = deque[str | bytes](messages)
    receiving.receiver.hand_over(arrived)
    await trio.testing.wait_all_tasks_blocked()
    return list(arrived)


async def test_it_is_woken_by_what_it_wanted(autojump_clock: trio.testing.MockClock) -> None:
    """Not by what comes before; what comes behind is left. Twice."""
    receiving = Receiving()
    for turn in (1, 2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receiving.receive)
            await trio.testing.wait_all_tasks_blocked()
            assert await hand_over(receiving) == []
            assert await hand_over(receiving, "a", "b") == []
            assert len(receiving.ends) == turn - 1
            assert await hand_over(receiving, "wanted", "later") == ["later"]
        assert receiving.ends == [True] * turn
        assert receiving.got == ["a", "b", "wanted"] * turn
        assert await hand_over(receiving, "nobody waits") == ["nobody waits"]


async def test_of_many_it_takes_the_others_itself(autojump_clock: trio.testing.MockClock) -> None:
    """So many are handed over, and then it goes on; exactly so many do not wake it."""
    receiving = Receiving()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiving.receive)
        await trio.testing.wait_all_tasks_blocked()
        assert await hand_over(receiving, *"abcd") == []
        assert receiving.ends == []
        assert await hand_over(receiving, *"efghi") == ["i"]
    assert (receiving.ends, receiving.got) == ([False], list("abcdefgh"))
    assert _AT_ONCE == 4


async def test_what_it_raises_is_its_own(autojump_clock: trio.testing.MockClock) -> None:
    """It is not raised where the messages are read; and once, however often it receives afterwards."""
    receiving = Receiving()
    for turn in (1, 2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receiving.receive)
            await trio.testing.wait_all_tasks_blocked()
            assert await hand_over(receiving, "a", "bad", "b") == ["b"]
        assert receiving.ends.count("a bad message") == turn
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receiving.receive)
            await trio.testing.wait_all_tasks_blocked()
            receiving.receiver.wake()
        assert receiving.ends[-1] is False


@pytest.mark.parametrize("was_handed", [True, False])
async def test_who_is_cancelled_is_given_nothing(was_handed: bool) -> None:
    """From that moment on, before it has run again; waking nobody does nothing."""
    receiving = Receiving()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiving.receive)
        await trio.testing.wait_all_tasks_blocked()
        if was_handed:
            assert await hand_over(receiving, "a") == []
        nursery.cancel_scope.cancel()
        left = deque[str | bytes](["b"])
        receiving.receiver.hand_over(left)
        assert list(left) == ["b"]
        receiving.receiver.wake()
    assert (receiving.got, receiving.ends) == (["a"] if was_handed else [], [])
