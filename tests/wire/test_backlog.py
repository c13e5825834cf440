"""What the kernel has not taken of a connection's frames, with a stream that takes each piece after so long."""

from typing import Any, Final

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.wire.backlog import Backlog

_PIECE_BYTES: Final = 16 * 1024


@define(eq=False)
class Stream:
    takes_s: float = 1.0
    written: list[bytes] = field(factory=list)
    aborted: int = 0
    backlog: Backlog = field(init=False)

    def __attrs_post_init__(self) -> None:
        stream: Any = self
        self.backlog = Backlog(stream)

    async def send_all(self, data: bytes) -> None:
        await trio.sleep(self.takes_s)
        self.written.append(data)

    def abort(self) -> None:
        self.aborted += 1


async def test_one_writes_and_others_wait(autojump_clock: trio.testing.MockClock) -> None:
    """All frames, in their order, each once; twice."""
    stream = Stream()
    backlog = stream.backlog
    for turn in (1, 2):
        began_s = trio.current_time()
        for frame in (b"one", b"two"):
            backlog.append(frame)
        assert backlog
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(backlog.flush)
        assert not backlog
        assert stream.written == [b"one", b"two"] * turn
        assert trio.current_time() - began_s == 2
    assert stream.aborted == 0


@pytest.mark.parametrize(("is_closing", "pongs"), [(False, [b"pong"]), (True, [])])
async def test_a_pong_comes_last_and_not_behind_a_close(
    is_closing: bool, pongs: list[bytes], autojump_clock: trio.testing.MockClock
) -> None:
    """Once: it does not come again with what is written later."""
    stream = Stream()
    backlog = stream.backlog
    for frame in (b"one", b"two"):
        backlog.append(frame)
    backlog.waiting_pong, backlog.is_closing = b"pong", is_closing
    await backlog.flush()
    assert stream.written == [b"one", b"two", *pongs]
    backlog.append(b"three")
    await backlog.flush()
    assert stream.written == [b"one", b"two", *pongs, b"three"]


async def test_a_write_that_is_cut_off_aborts(autojump_clock: trio.testing.MockClock) -> None:
    """Its frame is still the first: nobody takes it for written. One that only waits is cancelled without that."""
    stream = Stream()
    backlog = stream.backlog
    backlog.append(b"one")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backlog.flush)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.5):
            await backlog.flush()
        assert stream.aborted == 0
    assert (stream.written, stream.aborted) == ([b"one"], 0)
    for turn in (1, 2):
        backlog.append(b"two")
        with trio.move_on_after(0.5):
            await backlog.flush()
        assert (stream.aborted, stream.written, bool(backlog)) == (turn, [b"one"], True)


async def test_each_piece_that_is_taken_renews_the_patience(autojump_clock: trio.testing.MockClock) -> None:
    """A peer that reads slowly is waited for, however much it is; one that takes no piece in time is not."""
    stream = Stream(takes_s=0.75)
    whole = bytes(range(256)) * (3 * _PIECE_BYTES // 256) + b"rest"
    stream.backlog.append(whole)
    assert await stream.backlog.flush_within(1)
    assert (trio.current_time(), b"".join(stream.written)) == (3, whole)
    assert max(map(len, stream.written)) == _PIECE_BYTES
    stream.takes_s = 100
    stream.backlog.append(b"late")
    assert not await stream.backlog.flush_within(2)
    assert (trio.current_time(), stream.aborted) == (5, 1)


@pytest.mark.parametrize("frames", [1, 3])
async def test_a_pong_follows_however_much_is_written_before(
    frames: int, autojump_clock: trio.testing.MockClock
) -> None:
    """And what is added meanwhile, too."""
    stream = Stream()
    for _ in range(frames):
        stream.backlog.append(b"frame")
    stream.backlog.waiting_pong = b"pong"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.backlog.flush)
        await trio.sleep(frames - 0.5)
        stream.backlog.append(b"added")
    assert stream.written == [b"frame"] * frames + [b"added", b"pong"]
