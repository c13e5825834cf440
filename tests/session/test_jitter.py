"""Inbound audio in its order and evenly spaced, in virtual time: reordering, loss, doubles, bursts."""

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from tests.session.helpers import RATE, params
from trio_transports import AudioFrame, EndFrame, TextFrame
from trio_transports.session.jitter import CONCEAL_S, MAX_WAITING, JitterBuffer
from trio_transports.session.statistics import Counters, Statistics
from trio_transports.testing import memory_session

FRAME_S = 0.02
SAMPLES = round(RATE * FRAME_S)
DELAY_S = 0.06


def numbered(number: int, *, stamped: bool = True, from_ns: int = 0) -> AudioFrame:
    pcm = np.full(SAMPLES, 1000 + number, "<i2").tobytes()
    pts = from_ns + round(number * FRAME_S * 1e9) if stamped else None
    return AudioFrame(audio=pcm, sample_rate=RATE, pts=pts)


async def heard(
    sent: Sequence[tuple[float, AudioFrame]], **changes: object
) -> tuple[list[tuple[float, AudioFrame]], Statistics]:
    """Send each frame at its time; what the handler read, and when, since the first was sent."""
    got: list[tuple[float, AudioFrame]] = []
    async with memory_session(params(audio_in_jitter_ms=DELAY_S * 1000, **changes)) as (session, peer):
        async with trio.open_nursery() as nursery:
            began_s = trio.current_time()

            @nursery.start_soon
            async def read() -> None:
                async for frame in session.input:
                    if isinstance(frame, AudioFrame):
                        got.append((trio.current_time() - began_s, frame))

            for at_s, frame in sorted(sent, key=lambda one: one[0]):
                await trio.sleep_until(began_s + at_s)
                await peer.send(frame)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        told = session.statistics()
    return got, told


def numbers(got: Sequence[tuple[float, AudioFrame]]) -> list[int]:
    """Of the frames that were not made up; a made-up one is softer."""
    return [n for _, frame in got if (n := int(np.frombuffer(frame.audio, "<i2")[-1]) - 1000) >= 0]


async def test_order_and_spacing_are_restored(autojump_clock: MockClock) -> None:
    """Frames that come up to 60 ms late, past each other, are read in order, one each 20 ms, and none is lost."""
    chance = random.Random(2)
    sent = [(n * FRAME_S + (chance.uniform(0, DELAY_S) if n else 0.0), numbered(n)) for n in range(300)]
    got, told = await heard(sent)
    real = got[:300]
    assert [frame.pts for _, frame in real] == [round(n * FRAME_S * 1e9) for n in range(300)]
    assert numbers(real) == list(range(300))
    for n, (at_s, _) in enumerate(real):
        assert at_s == pytest.approx(n * FRAME_S + DELAY_S, abs=1e-6)
    assert told.audio_in_reordered > 50
    assert told.audio_in_late == 0
    assert told.audio_in_concealed_s == pytest.approx(CONCEAL_S)  # after the last


@pytest.mark.parametrize("lost", [[50], [50, 51], [50, 51, 90, 120]])
async def test_what_is_lost_is_concealed_by_a_fading_repeat(lost: list[int], autojump_clock: MockClock) -> None:
    """Each hole is filled with the frame before it, softer and softer; the rest keeps its time; again for each hole."""
    got, told = await heard([(n * FRAME_S, numbered(n)) for n in range(200) if n not in lost])
    inside = [(at_s, frame) for at_s, frame in got if at_s < 200 * FRAME_S + DELAY_S - 0.001]
    assert len(inside) == 200
    for n, (at_s, frame) in enumerate(inside):
        assert at_s == pytest.approx(n * FRAME_S + DELAY_S, abs=1e-6)
        values = np.frombuffer(frame.audio, "<i2").astype(int)
        if n in lost:
            assert 0 < values[-1] < values[0] <= 1000 + n - 1
        else:
            assert set(values) == {1000 + n}
    assert told.audio_in_concealed_s == pytest.approx(len(lost) * FRAME_S + CONCEAL_S)
    assert told.audio_in_late == told.audio_in_reordered == 0


@pytest.mark.parametrize(("rate", "samples"), [(192_000, 1), (48_000, 2), (8000, 56)])
async def test_a_tiny_frame_is_concealed_by_few(rate: int, samples: int, autojump_clock: MockClock) -> None:
    """After a frame of one sample it is ten frames that take the place of what is lost, and not thousands."""
    got, told = await heard([(0.0, AudioFrame(audio=b"\0\4" * samples, sample_rate=rate, pts=0))])
    made_up = [frame for _, frame in got[1:]]
    assert 5 <= len(made_up) <= 11
    assert sum(frame.duration_s for frame in made_up) == pytest.approx(CONCEAL_S, abs=0.001)
    assert told.audio_in_concealed_s == pytest.approx(CONCEAL_S, abs=0.001)
    values = np.frombuffer(b"".join(frame.audio for frame in made_up), "<i2").astype(int)
    assert (np.diff(values) <= 0).all()
    assert values[0] > 1000


async def test_doubles_and_latecomers_are_dropped_and_counted(autojump_clock: MockClock) -> None:
    """A frame that comes twice is heard once; one that comes after its place was filled is not heard."""
    sent = [(n * FRAME_S + (0.15 if n == 70 else 0.0), numbered(n)) for n in range(150)]
    sent += [(n * FRAME_S + extra_s, numbered(n)) for n in (20, 40) for extra_s in (0.001, 0.1)]
    got, told = await heard(sent)
    assert [n for n in numbers(got[:150]) if n < 1000][:69] == list(range(69))
    assert sum(np.frombuffer(frame.audio, "<i2")[-1] == 1070 for _, frame in got) == 0
    for number in (20, 40):
        assert sum(np.frombuffer(frame.audio, "<i2")[-1] == 1000 + number for _, frame in got) == 1
    assert told.audio_in_late == 5


async def test_what_came_while_this_side_stood_still_is_not_lost(autojump_clock: MockClock) -> None:
    """Twice it stands still for twice the delay: what lay there meanwhile is neither made up nor dropped as late."""
    async with memory_session(params(audio_in_jitter_ms=60)) as (session, peer):
        began_s = trio.current_time()
        for n in range(150):
            await trio.sleep_until(began_s + n * FRAME_S)
            if n in (50, 100):
                autojump_clock.jump(0.12)
            await peer.send(numbered(n))
        await peer.close()
        got = [(0.0, frame) async for frame in session.input if isinstance(frame, AudioFrame)]
        told = session.statistics()
    assert numbers(got) == list(range(150))
    assert (told.audio_in_late, told.audio_in_concealed_s) == (0, 0.0)


@pytest.mark.parametrize("stamped", [True, False])
async def test_a_burst_after_a_stall_is_no_delay(stamped: bool, autojump_clock: MockClock) -> None:
    """Twice a stall of 300 ms and its burst: what comes after it waits no longer than before, with or without times."""

    def given_s(made_s: float) -> float:
        return max([made_s, *(end for start, end in ((1.0, 1.3), (2.0, 2.3)) if start <= made_s < end)])

    got, _ = await heard([(given_s(n * FRAME_S), numbered(n, stamped=stamped)) for n in range(200)])
    late_s = {n: at_s - n * FRAME_S for at_s, f in got if (n := int(np.frombuffer(f.audio, "<i2")[-1]) - 1000) >= 0}
    for from_number in (0, 70, 120):
        ages = [late_s[n] for n in range(from_number, from_number + 25)]
        assert max(ages) <= DELAY_S + 1e-6
    assert list(late_s) == sorted(late_s)


async def test_without_times_bunches_are_spread(autojump_clock: MockClock) -> None:
    """Frames that come in threes are read one by one, each 20 ms, and nothing is made up."""
    got, told = await heard([((n - n % 3 + 2) * FRAME_S, numbered(n, stamped=False)) for n in range(150)])
    assert numbers(got) == list(range(150))
    gaps_s = [later[0] - earlier[0] for earlier, later in pairwise(got[5:])]
    assert min(gaps_s) == pytest.approx(FRAME_S)
    assert max(gaps_s) == pytest.approx(FRAME_S)
    assert told.audio_in_concealed_s == 0


async def test_another_stream_and_the_end(autojump_clock: MockClock) -> None:
    """Times that jump begin anew, three times; what waits at the peer's end is read before it, and text is not held."""
    async with memory_session(params(audio_in_jitter_ms=60)) as (session, peer):
        began_s = trio.current_time()
        starts = (0, 10**15, 5, 10**14)
        for start in starts:
            for n in range(3):
                await peer.send(numbered(n, from_ns=start))
        for start in starts[:3]:
            assert [await session.input.receive() for _ in range(3)] == [numbered(n, from_ns=start) for n in range(3)]
        await peer.send(TextFrame(text="said"))
        assert await session.input.receive() == TextFrame(text="said")
        await peer.send(EndFrame())
        last = [numbered(n, from_ns=10**14) for n in range(3)]
        assert [await session.input.receive() for _ in range(4)] == [*last, EndFrame()]
        assert trio.current_time() == began_s


async def test_what_waits_when_the_connection_ends_is_read(autojump_clock: MockClock) -> None:
    """A peer that closes does not take with it what it had said."""
    async with memory_session(params(audio_in_jitter_ms=60)) as (session, peer):
        await peer.send(numbered(7))
        await peer.close()
        await trio.testing.wait_all_tasks_blocked()
        assert await session.input.receive() == numbered(7)


def test_none_is_kept_for_ever() -> None:
    """A flood of frames for the future is bounded in number: past that the oldest are given on."""
    jitter, counters = JitterBuffer(0.1, Counters(), list[str]().append), Counters()
    frames = [AudioFrame(audio=bytes(2), sample_rate=RATE, pts=n * 1_100_000) for n in range(3000)]
    given = sum(len(jitter.put(frame, 0.0)) for frame in frames)
    assert given == 3000 - MAX_WAITING
    assert len(jitter.flush()) == MAX_WAITING
    assert counters.audio_in_late == 0


@pytest.mark.parametrize(("early_ns", "is_late"), [(1_000_000, False), (1_000_001, True)])
def test_times_are_told_in_whole_milliseconds(early_ns: int, is_late: bool) -> None:
    """A frame whose place is a millisecond before it should be is the next one; a moment more, and it is too late."""
    counters = Counters()
    jitter = JitterBuffer(0.1, counters, list[str]().append)
    jitter.put(numbered(0), 0.0)
    assert len(jitter.ready(0.1)) == 1
    second = AudioFrame(audio=bytes(2 * SAMPLES), sample_rate=RATE, pts=round(FRAME_S * 1e9) - early_ns)
    jitter.put(second, 0.11)
    assert counters.audio_in_late == is_late
    assert (second in jitter.ready(0.13)) is not is_late
