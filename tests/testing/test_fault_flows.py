"""One direction of the fault proxy, in virtual time: the same seed and the same bytes have the same faults again."""

from collections.abc import Sequence
from random import Random

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, memory_stream_one_way_pair

from trio_transports.testing.faults import Bandwidth, Coalesce, Corrupt, Delay, Fault, HalfClose, Split, Stall
from trio_transports.testing.faults.flow import Flow

DATA = Random(4).randbytes(3000)
SIZES = (1, 7, 100, 1460, len(DATA))


@define(eq=False)
class Sink(trio.abc.HalfCloseableStream):
    """Writes down each piece, and when it came."""

    pieces: list[tuple[float, bytes]] = field(factory=list)
    has_ended: bool = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.pieces.append((trio.current_time(), bytes(data)))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        self.has_ended = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        raise AssertionError(max_bytes)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    @property
    def data(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    @property
    def byte_times(self) -> list[float]:
        return [at_s for at_s, piece in self.pieces for _ in piece]

    @property
    def cuts(self) -> set[int]:
        """Where one piece ends and the next begins."""
        ends, at = set(), 0
        for _, piece in self.pieces:
            at += len(piece)
            ends.add(at)
        return ends


async def carried(faults: Sequence[Fault], size: int, seed: str = "d") -> tuple[Sink, Flow]:
    """All of DATA, written at once in pieces of this size."""
    flow, sink = Flow(tuple(faults), seed), Sink()
    near, far = memory_stream_one_way_pair()
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flow.run, far, sink)
        for at in range(0, len(DATA), size):
            await near.send_all(DATA[at : at + size])
            if size < 100:
                continue
            await trio.testing.wait_all_tasks_blocked()
        await near.aclose()
    sink.pieces = [(at_s - began_s, piece) for at_s, piece in sink.pieces]
    return sink, flow


CORRUPTED = (Corrupt(every_bytes=100), Corrupt(every_bytes=900, after_bytes=1000))
CUT = (Split(max_bytes=400), Split(max_bytes=90))
LATE = (Delay(delay_s=1, jitter_s=0.5), Delay(delay_s=2, jitter_s=3))


@pytest.mark.parametrize("size", SIZES)
async def test_the_same_bits_are_flipped_however_the_bytes_come(size: int, autojump_clock: MockClock) -> None:
    """Also where other faults are beside it."""
    whole, _ = await carried(CORRUPTED, len(DATA))
    for _ in range(2):
        sink, flow = await carried((*LATE, *CORRUPTED, *CUT), size)
        assert sink.data == whole.data != DATA
        assert flow.struck["Corrupt"] > len(DATA) / 150


@pytest.mark.parametrize("size", SIZES)
async def test_cuts_are_at_the_same_places_however_the_bytes_come(size: int, autojump_clock: MockClock) -> None:
    """There are others only where the bytes came apart."""
    whole, _ = await carried(CUT, len(DATA))
    for _ in range(2):
        sink, _ = await carried((*CORRUPTED, *CUT), size)
        assert whole.cuts <= sink.cuts
        assert max(len(piece) for _, piece in sink.pieces) <= 90
    assert len(whole.cuts) > len(DATA) / 90


@pytest.mark.parametrize("size", SIZES)
async def test_each_byte_is_as_late_however_the_bytes_come(size: int, autojump_clock: MockClock) -> None:
    whole, _ = await carried(LATE, len(DATA))
    for _ in range(2):
        sink, _ = await carried((*CUT, *LATE), size)
        assert sink.byte_times == pytest.approx(whole.byte_times)
    assert len(set(whole.byte_times)) > 2
    assert 3 < min(whole.byte_times) <= max(whole.byte_times) < 6.5


async def test_another_seed_has_other_luck(autojump_clock: MockClock) -> None:
    for faults in (CORRUPTED, CUT, LATE):
        one, _ = await carried(faults, 1460, "1")
        two, _ = await carried(faults, 1460, "2")
        assert one.pieces != two.pieces


async def test_every_fault_counts_though_there_are_two_of_a_kind(autojump_clock: MockClock) -> None:
    """The second one is not without effect."""
    for pair in (CORRUPTED, LATE, (Bandwidth(bytes_per_s=1000), Bandwidth(bytes_per_s=2000)), CUT):
        both, _ = await carried(pair, 100)
        for alone in pair:
            one, _ = await carried([alone], 100)
            assert both.pieces != one.pieces


async def test_stalls_and_ends_are_at_their_byte_however_the_bytes_come(autojump_clock: MockClock) -> None:
    for size in SIZES:
        sink, _ = await carried([Stall(after_bytes=1234, for_s=60), HalfClose(after_bytes=2345)], size)
        assert sink.data == DATA[:2345]
        assert sink.has_ended
        times = sink.byte_times
        assert times[1233] < 1 <= 60 <= times[1234]


async def test_what_is_gathered_comes_at_once(autojump_clock: MockClock) -> None:
    for size in SIZES:
        sink, _ = await carried([Coalesce(for_s=2.0)], size)
        assert sink.data == DATA
        assert len(set(sink.byte_times)) == 1


async def test_what_is_on_its_way_is_bounded(autojump_clock: MockClock) -> None:
    """Whoever writes to a side that does not take it is made to wait; twice."""
    for _ in range(2):
        flow, sink, most = Flow((Stall(),), "s"), Sink(), 1024 * 1024
        near, far = memory_stream_one_way_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flow.run, far, sink)
            for _ in range(3 * most // (16 * 1024)):
                await near.send_all(bytes(16 * 1024))
                await trio.testing.wait_all_tasks_blocked()
            taken = flow._read_bytes
            nursery.cancel_scope.cancel()
        assert most < taken <= most + 2 * 16 * 1024
