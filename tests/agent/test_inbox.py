"""The inbox: order, bounds, and that cancelling loses nothing."""

import random

import pytest
import trio

from trio_transports.agent import AgentMessage, AudioChunk, Transcript, TurnEnded, silent_chunk
from trio_transports.agent.inbox import MAX_NOTES, AgentInbox, Arrived, Item


async def test_order_is_kept() -> None:
    """Audio, events and errors come out as they went in, with their times."""
    inbox = AgentInbox(10.0)
    items: list[Item] = [silent_chunk(0.1), Transcript("a"), ValueError("b"), silent_chunk(0.2), TurnEnded()]
    for at, item in enumerate(items):
        inbox.put(item, float(at))
    inbox.end()
    taken = [await inbox.take() for _ in items]
    assert [(arrived.at, arrived.item) for arrived in taken] == list(enumerate(items))
    for _ in range(2):
        with pytest.raises(trio.EndOfChannel):
            await inbox.take()


async def test_audio_is_bounded() -> None:
    """Past the bound the oldest audio goes, and is counted; events stay."""
    inbox = AgentInbox(1.0)
    inbox.put(Transcript("first"), 0.0)
    for _ in range(15):
        inbox.put(silent_chunk(0.1), 0.0)
    assert inbox.unread_s == pytest.approx(1.0)
    assert inbox.dropped_audio_s == pytest.approx(0.5)
    assert (await inbox.take()).item == Transcript("first")


async def test_one_chunk_longer_than_the_bound_is_kept() -> None:
    """The newest audio is never what is dropped."""
    inbox = AgentInbox(1.0)
    inbox.put(silent_chunk(0.5), 0.0)
    inbox.put(silent_chunk(3.0), 0.0)
    assert inbox.dropped_audio_s == 0.5
    item = (await inbox.take()).item
    assert isinstance(item, AudioChunk)
    assert item.duration_seconds == 3.0


def test_chunks_with_next_to_nothing_in_them_are_bounded() -> None:
    """Each counts as a millisecond at least; what is told of the dropped is how long they would have played."""
    inbox = AgentInbox(5.0)
    for data in (b"", b"\1\0"):
        for _ in range(20_000):
            inbox.put(AudioChunk(data), 0.0)
        assert len(inbox._waiting) <= 5000
    assert inbox.dropped_audio_s == pytest.approx(15_000 / 24_000, rel=0.01)
    while inbox.take_nowait() is not None:
        pass
    assert inbox.unread_s == 0.0


async def test_events_are_bounded() -> None:
    """Past the bound the oldest events go, and are counted; audio stays."""
    inbox = AgentInbox(10.0)
    inbox.put(silent_chunk(0.1), 0.0)
    for number in range(MAX_NOTES + 3):
        inbox.put(Transcript(str(number)), 0.0)
    assert inbox.dropped_notes == 3
    assert isinstance((await inbox.take()).item, AudioChunk)
    assert (await inbox.take()).item == Transcript("3")


async def test_words_are_bounded_in_bytes() -> None:
    """Past the bound what says something goes, the oldest first, whatever it is; bare audio and the newest stay."""
    inbox = AgentInbox(10.0, 50_000)
    words = "x" * 20_000
    large: list[Item] = [Transcript(words), AudioChunk(b"ab", words), ValueError(words), AgentMessage([words])]
    for _ in range(2):
        for item in (silent_chunk(0.1), *large):
            inbox.put(item, 0.0)
        assert isinstance((await inbox.take()).item, AudioChunk)
        assert [(await inbox.take()).item for _ in range(2)] == large[2:]
        assert inbox.take_nowait() is None
        newest = Transcript("x" * 100_000)
        inbox.put(Transcript("small"), 0.0)
        inbox.put(newest, 0.0)
        assert (await inbox.take()).item == newest
    assert inbox.dropped_notes == 4
    assert inbox.dropped_audio_s == pytest.approx(2 / 24000)


async def test_words_that_are_put_back_count_again() -> None:
    """What was taken makes room, and none once it is put back."""
    inbox = AgentInbox(10.0, 50_000)
    for number in range(2):
        inbox.put(Transcript(f"{number}" * 20_000), float(number))
    for _ in range(2):
        inbox.put_back([await inbox.take()])
    inbox.put(Transcript("2" * 20_000), 2.0)
    assert [(await inbox.take()).at for _ in range(2)] == [1.0, 2.0]
    assert inbox.dropped_notes == 1


async def test_what_is_put_back_comes_first() -> None:
    """In its order, and it counts again."""
    inbox = AgentInbox(10.0)
    for number in range(4):
        inbox.put(silent_chunk(0.1 * (number + 1)), float(number))
    first, second = await inbox.take(), await inbox.take()
    inbox.put_back([first, second])
    assert inbox.unread_s == pytest.approx(1.0)
    assert [(await inbox.take()).at for _ in range(4)] == [0.0, 1.0, 2.0, 3.0]
    assert inbox.unread_s == 0.0


async def test_end_wakes_the_readers() -> None:
    """A reader that waits sees the end."""
    inbox = AgentInbox(10.0)

    async def read() -> None:
        with pytest.raises(trio.EndOfChannel):
            await inbox.take()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        inbox.end()


async def test_cancelling_take_loses_nothing() -> None:
    """2,000 takes, cancelled before, while and just as something comes: everything is taken once, in order."""
    inbox, chance = AgentInbox(1e6), random.Random(1)
    taken: list[Arrived] = []
    put = cancelled = 0
    while cancelled < 2_000:
        with trio.CancelScope() as scope:
            when = chance.randrange(3)
            if when == 0:
                scope.cancel()

            async def disturb(scope: trio.CancelScope = scope, when: int = when) -> None:
                nonlocal put
                for _ in range(chance.randrange(3)):
                    await trio.lowlevel.checkpoint()
                if when == 1:
                    scope.cancel()
                if chance.random() < 0.4:
                    inbox.put(silent_chunk(0.001), float(put))
                    put += 1
                if when == 2:
                    scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(disturb)
                taken.append(await inbox.take())
        cancelled += scope.cancelled_caught
    while (rest := inbox.take_nowait()) is not None:
        taken.append(rest)
    assert [arrived.at for arrived in taken] == list(range(put))
