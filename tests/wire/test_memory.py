"""The wire that is in memory: what its ends owe to who waits and to who has left."""

import pytest
import trio
import trio.testing

from trio_transports import ConnectionClosed
from trio_transports.testing import memory_wire_pair
from trio_transports.wire.protocol import Batches
from trio_transports.wire.rfc6455 import Parser, Ping


async def test_receiving_lets_others_have_their_turn() -> None:
    """With a message there, and at the end, each time."""
    near, far = memory_wire_pair()
    for _ in range(2):
        await far.send("text")
        with trio.testing.assert_checkpoints():
            assert await near.receive() == "text"
    far.abort()
    for _ in range(2):
        with trio.testing.assert_checkpoints(), pytest.raises(ConnectionClosed):
            await near.receive()


async def test_who_has_left_reads_nothing_more() -> None:
    """What had arrived is forgotten with the connection."""
    near, far = memory_wire_pair()
    await far.send("text")
    near.abort()
    for _ in range(2):
        with pytest.raises(ConnectionClosed):
            await near.receive()


def test_a_frame_of_two_bytes_is_heard_at_its_second() -> None:
    """It comes byte by byte, and nothing comes behind it; again and again."""
    parser = Parser(from_client=False, max_message_bytes=100)
    for _ in range(3):
        assert list(parser.feed(b"\x89")) == []
        assert list(parser.feed(b"\x00")) == [Ping(b"")]


async def test_goodbye_lets_others_have_their_turn() -> None:
    """Also where there is nothing to say any more."""
    near, _ = memory_wire_pair()
    for _ in range(2):
        with trio.testing.assert_checkpoints():
            await near.aclose()


@pytest.mark.parametrize("which", ["near", "far"])
@pytest.mark.parametrize("how", ["closes", "aborts"])
async def test_who_waits_for_room_wakes_at_the_end(
    which: str, how: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Whichever end ends it."""
    near, far = memory_wire_pair(buffer_messages=1)
    await near.send("first")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            with pytest.raises(ConnectionClosed):
                await near.send("no room")

        await trio.testing.wait_all_tasks_blocked()
        wire = near if which == "near" else far
        if how == "aborts":
            wire.abort()
        else:
            await wire.aclose()


async def test_several_are_received_and_make_room_for_each(autojump_clock: trio.testing.MockClock) -> None:
    """What was begun comes with them; twice."""
    near, far = memory_wire_pair(buffer_messages=2, sends_now=True)
    assert isinstance(near, Batches)
    assert isinstance(far, Batches)
    for _ in range(2):
        assert near.send_several_now(["a", "b", "c"]) == 3
        async with trio.open_nursery() as nursery:
            for text in ("d", "e"):
                nursery.start_soon(near.send, text)
                await trio.testing.wait_all_tasks_blocked()
            got: list[str | bytes] = []
            while len(got) < 5:
                got += await far.receive_several()
        assert sorted(map(str, got[3:])) == ["d", "e"]
        assert got[:3] == ["a", "b", "c"]
