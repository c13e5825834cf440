"""What a connection's bytes are written by: into a pipe, with the stream that waits played by the test."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.wire.descriptor import Descriptor
from trio_transports.wire.writes import PIECE_BYTES, GuardedWrites, Writes


class Socket:
    def setsockopt(self, *_: object) -> None: ...

    def close(self) -> None: ...


@define(eq=False)
class Stream:
    """Takes each write after so long."""

    takes_s: float = 0.0
    taken: list[bytes] = field(factory=list)

    async def send_all(self, data: memoryview) -> None:
        await trio.sleep(self.takes_s)
        self.taken.append(bytes(data))


@define(eq=False)
class Pipe:
    descriptor: Descriptor
    stream: Stream
    writes: Writes
    told: list[str]
    ends: list[int]

    def guarded(self, timeout_s: float = 5.0) -> GuardedWrites:
        stream: Any = self.stream
        return GuardedWrites(self.descriptor, stream, self.writes, timeout_s)

    def read(self) -> bytes:
        return os.read(self.ends[0], 1 << 20)

    def fill(self) -> int:
        """Write until no more is taken; how much that was."""
        return self.writes.write_now(bytes(1 << 20))


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = list(os.pipe())
    for each in ends:
        os.set_blocking(each, False)
    socket: Any = Socket()
    stream: Any = Stream()
    descriptor, told = Descriptor(socket, ends[1]), list[str]()
    descriptor.on_end = lambda: told.append("end")
    yield Pipe(descriptor, stream, Writes(descriptor, stream), told, ends)
    for each in ends:
        os.close(each)


def test_what_the_kernel_takes_is_written_at_once(pipe: Pipe) -> None:
    """And how much that was is told: all, part of it, or nothing."""
    assert [pipe.writes.write_now(data) for data in (b"first", bytearray(b"second"), memoryview(b"third"))] == [5, 6, 5]
    assert pipe.read() == b"firstsecondthird"
    assert 0 < pipe.fill() < 1 << 20
    assert pipe.writes.write_now(b"no room") == 0
    assert pipe.told == []


def test_over_tls_nothing_is_written_at_once(pipe: Pipe) -> None:
    pipe.descriptor.number = None
    assert pipe.writes.write_now(b"not as it is") == 0


@pytest.mark.parametrize("tells_by_reading", [False, True])
def test_a_write_that_fails_says_why(tells_by_reading: bool, pipe: Pipe) -> None:
    """It is the end, unless the reader is to find that."""
    pipe.writes.tells_by_reading = tells_by_reading
    pipe.descriptor.number = pipe.ends[0]  # which cannot be written to
    with pytest.raises(trio.BrokenResourceError, match=r"the connection is broken: .*Bad file descriptor"):
        pipe.writes.write_now(b"lost")
    assert pipe.told == ([] if tells_by_reading else ["end"])


async def test_nothing_is_written_to_what_was_closed(pipe: Pipe) -> None:
    """It is told so, by each way."""
    pipe.descriptor.is_closed = True
    with pytest.raises(trio.ClosedResourceError, match="closed by this side"):
        pipe.writes.write_now(b"late")
    with pytest.raises(trio.ClosedResourceError, match="closed by this side"):
        await pipe.guarded().write(b"late")
    pipe.descriptor.is_closed = False
    assert pipe.writes.write_now(b"x") == 1
    assert pipe.read() == b"x"


async def test_a_rest_is_under_way_until_it_is_taken(pipe: Pipe, autojump_clock: trio.testing.MockClock) -> None:
    """One that is cut off stays so: half of it may be written."""
    pipe.stream.takes_s = 2.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pipe.writes.write_rest, b"whole", 2)
        await trio.sleep(1)
        assert pipe.descriptor.is_writing
    assert (pipe.descriptor.is_writing, pipe.stream.taken) == (False, [b"ole"])
    with trio.move_on_after(1):
        await pipe.writes.write_rest(b"another", 0)
    assert pipe.descriptor.is_writing


# Guarded


async def test_each_piece_has_its_own_time(pipe: Pipe, autojump_clock: trio.testing.MockClock) -> None:
    """A slow peer is no stalled one: all of it is taken, in order; one that takes no piece in time is cut off."""
    pipe.descriptor.number = None
    pipe.stream.takes_s = 4.0
    data = bytes(range(256)) * (3 * PIECE_BYTES // 256) + b"rest"
    await pipe.guarded().write_pieces(data)
    assert trio.current_time() == 16
    assert [len(each) for each in pipe.stream.taken] == [PIECE_BYTES] * 3 + [4]
    assert b"".join(pipe.stream.taken) == data
    assert not pipe.descriptor.is_closed
    pipe.stream.takes_s = 6.0
    with pytest.raises(trio.BrokenResourceError, match="the peer did not read for 5 s"):
        await pipe.guarded().write(b"late")
    assert (trio.current_time(), pipe.descriptor.is_closed, pipe.told) == (21, True, ["end"])


async def test_what_is_taken_in_part_is_waited_for(pipe: Pipe) -> None:
    """From where it was left."""
    room = pipe.fill()
    pipe.read()
    whole = bytes(room) + b"the rest"
    await pipe.guarded().write(whole)
    assert pipe.read() + b"".join(pipe.stream.taken) == whole
    assert pipe.stream.taken == [b"the rest"]


async def test_others_have_their_turn(pipe: Pipe) -> None:
    """After every sixteenth write, though each is taken at once."""
    guarded, turns = pipe.guarded(), 0
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        await trio.lowlevel.checkpoint()
        for _ in range(160):
            await guarded.write(b"x")
        assert 9 <= turns - 1 <= 11
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("writes_before", [0, 15])
async def test_a_cancelled_write_resets(writes_before: int, pipe: Pipe) -> None:
    """Before it begins too: nothing may follow it."""
    guarded = pipe.guarded()
    for _ in range(writes_before):
        await guarded.write(b"x")
    with trio.CancelScope() as scope:
        scope.cancel()
        await guarded.write(b"never")
    assert scope.cancelled_caught
    assert pipe.descriptor.is_closed


async def test_two_writers_are_a_mistake(pipe: Pipe, autojump_clock: trio.testing.MockClock) -> None:
    """The second one's; the first goes on."""
    pipe.descriptor.number, pipe.stream.takes_s = None, 3.0
    guarded = pipe.guarded()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guarded.write, b"first")
        await trio.sleep(1)
        with pytest.raises(trio.BusyResourceError, match="another task is writing"):
            await guarded.write(b"second")
    assert (pipe.stream.taken, pipe.descriptor.is_closed) == ([b"first"], False)
    await guarded.write(b"third")
    assert pipe.stream.taken == [b"first", b"third"]
