"""What a connection's bytes are read by: from a pipe, with the seat among shared wakes played by the test."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.wire.descriptor import Descriptor
from trio_transports.wire.reads import READ_BYTES, Reads


@define(eq=False)
class Seat:
    """Waking it is up to the test, or each wait ends at once."""

    while_waiting: Callable[[], object] = lambda: None
    waits: int = 0
    woken: int = 0
    takes: list[Callable[[], bool]] = field(factory=list)

    async def readable(self, take: Callable[[], bool] | None = None) -> None:
        self.waits += 1
        await trio.lowlevel.checkpoint()
        self.while_waiting()
        if take is not None:
            self.takes.append(take)

    def wake(self) -> None:
        self.woken += 1

    def leave(self) -> None: ...


class Socket:
    def close(self) -> None: ...


@define(eq=False)
class Pipe:
    """A descriptor to read from, and what is written to its other end."""

    descriptor: Descriptor
    reads: Reads
    told: list[str]
    _ends: list[int]

    def write(self, data: bytes) -> None:
        os.write(self._ends[1], data)

    def end(self) -> None:
        os.close(self._ends.pop())

    def sit(self) -> Seat:
        seat: Any = Seat()
        self.descriptor.seat = seat
        return seat  # type: ignore[no-any-return]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = list(os.pipe())
    for each in ends:
        os.set_blocking(each, False)
    socket: Any = Socket()
    descriptor, told = Descriptor(socket, ends[0]), list[str]()
    descriptor.on_end = lambda: told.append("end")
    yield Pipe(descriptor, Reads(descriptor), told, ends)
    for each in ends:
        os.close(each)


def test_at_a_wake_it_reads_once(pipe: Pipe) -> None:
    """What is there; None where that is nothing, and nothing at the end, which is told, once."""
    assert pipe.reads.read_at_wake() is None
    for data in (b"first", b"second"):
        pipe.write(data)
        assert pipe.reads.read_at_wake() == data
        assert not pipe.reads.has_more
    pipe.end()
    assert pipe.told == []
    assert [pipe.reads.read_at_wake() for _ in range(2)] == [b"", b""]
    assert pipe.told == ["end"]


def test_a_read_that_is_filled_says_that_there_is_more(pipe: Pipe) -> None:
    """Until one is not; meanwhile no wake is waited for."""
    pipe.sit()
    assert pipe.reads.shares_wakes
    pipe.write(bytes(READ_BYTES + 1))
    assert len(pipe.reads.read_at_wake() or b"") == READ_BYTES
    assert (pipe.reads.has_more, pipe.reads.shares_wakes) == (True, False)
    assert pipe.reads.read_at_wake() == b"\0"
    assert (pipe.reads.has_more, pipe.reads.shares_wakes) == (False, True)


@pytest.mark.parametrize("why", ["closed", "over TLS"])
def test_what_is_not_its_own_is_not_read(why: str, pipe: Pipe) -> None:
    """A descriptor that was closed may be another's by now; over TLS the bytes are not the socket's."""
    pipe.write(b"another's")
    if why == "closed":
        pipe.descriptor.is_closed = True
    else:
        pipe.descriptor.number = None
    assert (pipe.reads.read_at_wake(), pipe.reads.read_now()) == (b"", b"")
    pipe.descriptor.is_closed = False
    pipe.descriptor.number = pipe._ends[0]
    assert pipe.reads.read_now() == b"another's"


async def test_what_is_broken_ends(pipe: Pipe) -> None:
    """At a wake it is told as the end; without waiting as nothing; whoever waits is told why."""
    number = pipe.descriptor.number = pipe._ends[1]  # which cannot be read from
    assert pipe.reads.read_at_wake() == b""
    assert pipe.told == ["end"]
    assert pipe.reads.read_now() == b""
    pipe.sit()
    with pytest.raises(trio.BrokenResourceError, match=r"the connection is broken: .*Bad file descriptor"):
        await pipe.reads.read(number, 100)


def test_without_waiting_it_reads_what_is_there(pipe: Pipe) -> None:
    assert pipe.reads.read_now() == b""
    pipe.write(b"said")
    assert [pipe.reads.read_now() for _ in range(2)] == [b"said", b""]


@pytest.mark.parametrize("has_seat", [False, True])
async def test_it_waits_for_something_to_read(has_seat: bool, pipe: Pipe) -> None:
    """By its seat, where it has one; a wake for nothing is followed by another wait."""
    seat = pipe.sit() if has_seat else Seat()
    got: list[bytes] = []
    number = pipe.descriptor.number
    assert number is not None
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            got.append(await pipe.reads.read(number, 3))

        for _ in range(3):
            await trio.lowlevel.checkpoint()
        assert got == []
        assert (seat.waits > 1) is has_seat
        pipe.write(b"first")
    assert (got, pipe.reads.has_more) == ([b"fir"], has_seat)
    waits = seat.waits
    if has_seat:  # it was filled whole: there is more, and others have their turn before
        with trio.testing.assert_checkpoints():
            assert await pipe.reads.read(number, 4) == b"st"
        assert (seat.waits, pipe.reads.has_more) == (waits, False)


async def test_a_read_that_was_filled_exactly_is_followed_by_a_wait(pipe: Pipe) -> None:
    """There was no more, though it looked so."""
    seat, number = pipe.sit(), pipe.descriptor.number
    assert number is not None
    pipe.write(b"all")
    assert await pipe.reads.read(number, 3) == b"all"
    seat.while_waiting = lambda: pipe.write(b"then") if seat.waits == 2 else None
    assert await pipe.reads.read(number, 100) == b"then"
    assert seat.waits == 2


async def test_a_reader_of_what_was_closed_is_told(pipe: Pipe) -> None:
    """Before it waits, and where it is closed while it does: nothing is read of another's descriptor."""
    pipe.write(b"another's")
    number = pipe.descriptor.number
    assert number is not None
    seat = pipe.sit()
    seat.while_waiting = pipe.descriptor.close
    for _ in range(2):
        with pytest.raises(trio.ClosedResourceError, match="closed by this side"):
            await pipe.reads.read(number, 100)
        assert seat.waits == 1
    assert os.read(number, 100) == b"another's"


async def test_hearing_is_the_seats(pipe: Pipe) -> None:
    """What is taken, and who is woken. Without one that is a mistake."""

    def take() -> bool:
        return True

    pipe.reads.stop_hearing()
    assert not pipe.reads.shares_wakes
    with pytest.raises(ValueError, match="shares no wakes"):
        await pipe.reads.hear(take)
    seat = pipe.sit()
    await pipe.reads.hear(take)
    pipe.reads.stop_hearing()
    assert (seat.takes, seat.woken) == ([take], 1)
    shares = list[bool]()
    for kept in ("put_back", "held"):
        for data in (b"before", b""):
            setattr(pipe.reads, kept, data)
            shares.append(pipe.reads.shares_wakes)
    assert shares == [False, True] * 2
