"""The wire that is in memory: what its ends owe to who waits and to who has left."""

import pytest
import trio
import trio.testing

from trio_transports import ConnectionClosed
from trio_transports.testing import memory_wire_pair
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
