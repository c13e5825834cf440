"""The buffer of one stream of HTTP/2: its writer waits for room, and the connection's reader never does."""

import pytest
import trio
import trio.testing
from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, BUFFER_LOW_WATER, BufferCompleteError

from trio_transports.hosting.h2 import _READER_LIMIT_BYTES, _BoundedBuffer

LOW = int(BUFFER_LOW_WATER)


async def test_a_writer_waits_while_it_is_full(autojump_clock: trio.testing.MockClock) -> None:
    """Until less than the low mark is left, to the byte; twice."""
    buffer = _BoundedBuffer(lambda: False)
    for _ in range(2):
        with trio.fail_after(1):
            await buffer.push(bytes(BUFFER_HIGH_WATER - 1))
        done: list[bool] = []
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def push(done: list[bool] = done) -> None:
                await buffer.push(b"x")
                done.append(True)

            await trio.testing.wait_all_tasks_blocked()
            assert len(await buffer.pop(LOW)) == LOW
            await trio.testing.wait_all_tasks_blocked()
            assert done == []
            assert await buffer.pop(1) == b"\0"
            await trio.testing.wait_all_tasks_blocked()
            assert done == [True]
        assert await buffer.pop(BUFFER_HIGH_WATER) == bytes(LOW - 2) + b"x"
        with trio.fail_after(1):
            await buffer.drain()


async def test_the_reader_never_waits(autojump_clock: trio.testing.MockClock) -> None:
    """What it has past its limit is dropped, to the byte, and what fits is kept again."""
    buffer = _BoundedBuffer(lambda: True)
    for last in (b"p", b"pong"):
        with trio.fail_after(1):
            await buffer.push(bytes(_READER_LIMIT_BYTES - 1))
            await buffer.push(last)
            await buffer.push(b"dropped")
        data = await buffer.pop(2 * _READER_LIMIT_BYTES)
        assert data == bytes(_READER_LIMIT_BYTES - 1) + last


async def test_who_waits_until_all_has_left(autojump_clock: trio.testing.MockClock) -> None:
    """Goes on with the last byte of it: twice."""
    buffer = _BoundedBuffer(lambda: False)
    for turn in (1, 2):
        await buffer.push(b"two")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(buffer.drain)
            for size in (2, 1):
                await trio.sleep(1)
                assert len(nursery.child_tasks) == 1
                assert len(await buffer.pop(size)) == size
        assert trio.current_time() == 2 * turn


@pytest.mark.parametrize("closes", [True, False])
async def test_who_waits_for_room_goes_on_when_the_stream_ends(
    closes: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """What was written still leaves, unless the stream was reset; and nothing more can be written, twice."""
    buffer = _BoundedBuffer(lambda: False)
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = 1
        nursery.start_soon(buffer.push, bytes(BUFFER_HIGH_WATER))
        await trio.testing.wait_all_tasks_blocked()
        if closes:
            await buffer.close()
        else:
            buffer.finish()
    assert trio.current_time() == 0
    assert buffer.complete is closes
    for _ in range(2):
        with pytest.raises(BufferCompleteError):
            await buffer.push(b"late")
    assert len(await buffer.pop(2 * BUFFER_HIGH_WATER)) == (0 if closes else BUFFER_HIGH_WATER)
    assert buffer.complete
