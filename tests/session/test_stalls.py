"""The way back from a stall: how late a live source is heard before, during and after holes, in virtual time."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from tests.session.helpers import RATE, is_silence, seconds
from trio_transports import AudioFrame, BotStoppedSpeakingFrame, Session, TransportParams
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.testing import memory_session

FRAME_S = 0.02
FRAME_SAMPLES = round(RATE * FRAME_S)
FIRST_LEVEL = 1000


def defaults(**changes: object) -> TransportParams:
    """What a newcomer has: both directions on, all else as it is by default."""
    settings: dict[str, object] = {
        "serializer": JSONFrameSerializer(),
        "audio_in_enabled": True,
        "audio_out_enabled": True,
        "audio_out_sample_rate": RATE,
        **changes,
    }
    return TransportParams(**settings)  # type: ignore[arg-type]


@frozen
class Hole:
    """The source holds back what it made from ``from_s`` on, and gives it all at once after ``length_s``."""

    from_s: float
    length_s: float


def numbered(number: int) -> AudioFrame:
    """A frame whose samples all tell which it is; silence is none of them."""
    level = FIRST_LEVEL + number
    return AudioFrame(audio=np.full(FRAME_SAMPLES, level, "<i2").tobytes(), sample_rate=RATE, num_channels=1)


def number_of(pcm: bytes) -> int | None:
    """Which frame the last sample is from; None for silence."""
    last = int(np.frombuffer(pcm, "<i2")[-1])
    return last - FIRST_LEVEL if last else None


async def speak(session: Session, lasting_s: float, holes: Sequence[Hole] = (), from_number: int = 0) -> None:
    """Send 20 ms frames in real time, but for the holes."""
    began_s = trio.current_time()
    for number in range(round(lasting_s / FRAME_S)):
        made_s = number * FRAME_S
        given_s = max([made_s, *(h.from_s + h.length_s for h in holes if h.from_s <= made_s < h.from_s + h.length_s)])
        await trio.sleep_until(began_s + given_s)
        await session.output.send(numbered(from_number + number))


async def waits(holes: Sequence[Hole], lasting_s: float, **changes: object) -> list[tuple[float, float]]:
    """When each chunk with audio left (since the first), and how long its last sample had waited since it was made."""
    async with memory_session(defaults(**changes)) as (session, peer):
        began_s = trio.current_time()
        await speak(session, lasting_s, holes)
        await trio.testing.wait_all_tasks_blocked()
        heard = list(peer.recorder.heard)
    found = []
    for one in heard:
        number = number_of(one.frame.audio) if isinstance(one.frame, AudioFrame) else None
        if number is not None:
            at_s = one.at_s - began_s
            found.append((at_s, at_s - number * FRAME_S))
    return found


def worst(found: Sequence[tuple[float, float]], from_s: float, to_s: float) -> float:
    """The longest wait of what left in this time."""
    return max(wait_s for at_s, wait_s in found if from_s <= at_s < to_s)


@pytest.mark.parametrize("length_s", [0.08, 0.15, 0.3, 0.5, 0.8, 1.5, 3.0])
@pytest.mark.parametrize("auto_silence", [True, False])
async def test_after_a_hole_it_is_as_quick_as_before(
    length_s: float, auto_silence: bool, autojump_clock: MockClock
) -> None:
    """One hole and its burst: within a second the audio waits no longer than before the hole, and stays so."""
    found = await waits([Hole(2.0, length_s)], 8.0, audio_out_auto_silence=auto_silence)
    before_s = worst(found, 0, 2)
    assert before_s <= 0.021
    assert worst(found, 2 + length_s, 2 + length_s + 0.2) > before_s + 0.02
    assert worst(found, 2 + length_s + 1, 9) <= before_s + 0.010


async def test_twice_and_three_times(autojump_clock: MockClock) -> None:
    """The same hole again, and once more: each time the way back takes a second at most."""
    found = await waits([Hole(2.0, 0.3), Hole(4.0, 0.3), Hole(6.0, 0.3)], 9.0)
    before_s = worst(found, 0, 2)
    for again_s in (3.3, 5.3, 7.3):
        assert worst(found, again_s, again_s + 0.7 if again_s < 7 else 9) <= before_s + 0.010


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("chunks", [1, 2, 4, 6])
async def test_after_twenty_random_holes(seed: int, chunks: int, autojump_clock: MockClock) -> None:
    """Twenty holes of any length anywhere, some on the way back from the one before: nothing of them is left."""
    chance = random.Random(seed)
    holes, at_s = [], 1.0
    for _ in range(20):
        length_s = chance.uniform(0.03, 0.6)
        holes.append(Hole(at_s, length_s))
        at_s += length_s + chance.uniform(0.2, 2.0)
    found = await waits(holes, at_s + 3, audio_out_10ms_chunks=chunks)
    before_s = worst(found, 0, 1)
    assert worst(found, holes[-1].from_s + holes[-1].length_s + 1, at_s + 3) <= before_s + 0.010


async def test_never_more_than_catch_up_at_once(autojump_clock: MockClock) -> None:
    """Whatever the hole, no more than catch_up_ms of audio leaves ahead of its time."""
    for length_s in (0.3, 0.6, 2.0):
        found = await waits([Hole(1.0, length_s)], 5.0, catch_up_ms=200)
        times_s = [at_s for at_s, _ in found]
        for first in range(len(times_s)):
            for last in range(first, len(times_s)):
                assert (last - first + 1) * 0.04 <= times_s[last] - times_s[first] + 0.2 + 0.04 + 0.006


async def test_what_is_cut_is_counted(autojump_clock: MockClock) -> None:
    """All that was given either left or is counted as dropped: to the sample, but for a padded chunk."""
    async with memory_session(defaults()) as (session, peer):
        await speak(session, 4.0, [Hole(1.0, 0.3)])
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        dropped_s = session.statistics().audio_out_dropped_s
        heard_s = sum(np.count_nonzero(np.frombuffer(f.audio, "<i2")) for f in peer.recorder.of(AudioFrame)) / RATE
    assert 0.1 < dropped_s <= 0.3
    assert heard_s + dropped_s == pytest.approx(4.0, abs=1e-6)


async def test_silence_goes_first(autojump_clock: MockClock) -> None:
    """Where the source is silent after the hole, no word of it is lost for the way back."""
    async with memory_session(defaults()) as (session, peer):
        began_s = trio.current_time()
        quiet = AudioFrame(audio=bytes(2 * FRAME_SAMPLES), sample_rate=RATE)
        for number in range(250):
            made_s = number * FRAME_S
            await trio.sleep_until(began_s + (max(made_s, 1.3) if made_s >= 1.0 else made_s))
            await session.output.send(quiet if 1.3 <= made_s < 2.2 else numbered(number))
        await trio.testing.wait_all_tasks_blocked()
        spoken = [number_of(f.audio) for f in peer.recorder.of(AudioFrame) if not is_silence(f.audio)]
        last = peer.recorder.heard[-1]
        samples = np.concatenate([np.frombuffer(f.audio, "<i2") for f in peer.recorder.of(AudioFrame)])
    present = set(np.unique(samples).tolist())
    missing = [n for n in range(250) if not 1.3 <= n * FRAME_S < 2.2 and FIRST_LEVEL + n not in present]
    assert missing == []
    assert spoken[-1] == 249
    assert last.at_s - began_s == pytest.approx(249 * FRAME_S, abs=0.025)


@pytest.mark.parametrize("pause_s", [0.1, 0.3, 0.7, 1.5, 5.0])
async def test_queued_audio_keeps_its_exact_time(pause_s: float, autojump_clock: MockClock) -> None:
    """Utterances that come faster than they are spoken are heard whole, each chunk at its time, whatever the pauses."""
    async with memory_session(defaults()) as (session, peer):
        for utterance in range(4):
            for part in range(10):
                await session.output.send(seconds(0.2))
                await trio.sleep(0.05 if utterance % 2 else 0.15)
                assert part >= 0
            await session.output.drain()
            await trio.sleep(pause_s)
        await trio.testing.wait_all_tasks_blocked()
        heard = [h for h in peer.recorder.heard if isinstance(h.frame, AudioFrame) and not is_silence(h.frame.audio)]
        assert session.statistics().audio_out_dropped_s == 0
    assert len(heard) == 4 * 50
    for utterance in range(4):
        times_s = [h.at_s for h in heard[50 * utterance : 50 * (utterance + 1)]]
        assert times_s == pytest.approx([times_s[0] + n * 0.04 for n in range(50)])


@pytest.mark.parametrize("ahead_s", [0.1, 0.2, 0.3, 0.5])
@pytest.mark.parametrize("pause_s", [0.2, 0.3, 0.5, 0.9])
async def test_a_paced_source_with_a_lead_loses_no_word(
    ahead_s: float, pause_s: float, autojump_clock: MockClock
) -> None:
    """Utterances given in real time with a lead, and pauses of any length between them: all of it is heard."""
    async with memory_session(defaults()) as (session, peer):
        for _ in range(3):
            began_s = trio.current_time()
            for number in range(100):
                await trio.sleep_until(began_s + max(0.0, number * FRAME_S - ahead_s))
                await session.output.send(numbered(number))
            await session.output.send(BotStoppedSpeakingFrame())
            await trio.sleep(ahead_s + pause_s)
        await trio.testing.wait_all_tasks_blocked()
        assert session.statistics().audio_out_dropped_s == 0
        heard_s = sum(np.count_nonzero(np.frombuffer(f.audio, "<i2")) for f in peer.recorder.of(AudioFrame)) / RATE
    assert heard_s == pytest.approx(6.0)


async def test_who_knows_that_a_source_is_live_takes_back_its_late_beginning(autojump_clock: MockClock) -> None:
    """A first frame that comes late makes a live source one with a lead: it is heard whole, until an interruption."""
    async with memory_session(defaults()) as (session, peer), trio.open_nursery() as nursery:
        began_s = trio.current_time()
        nursery.start_soon(speak, session, 6.0, [Hole(0.0, 0.3)])
        for _ in range(2):  # later it is no other
            await trio.sleep(1.5)
            assert session.output.queued_s == pytest.approx(0.3, abs=0.041)
            assert session.statistics().audio_out_dropped_s == 0
        await session.output.interrupt()
        dropped_s = session.statistics().audio_out_dropped_s
        assert dropped_s == pytest.approx(0.3, abs=0.041)
        for _ in range(2):
            await trio.sleep(1.2)
            assert session.output.queued_s <= FRAME_S + 1e-9
        heard = [(h.at_s, number_of(h.frame.audio)) for h in peer.recorder.heard if isinstance(h.frame, AudioFrame)]
        assert session.statistics().audio_out_dropped_s == dropped_s
    late_s = [
        at_s - began_s - number * FRAME_S for at_s, number in heard if number is not None and at_s > began_s + 3.2
    ]
    assert len(late_s) > 40
    assert max(late_s) <= 0.021


async def test_jitter_costs_no_audio(autojump_clock: MockClock) -> None:
    """A live source whose frames come up to 100 ms late now and then is delayed by about that, and heard whole."""
    chance = random.Random(3)
    async with memory_session(defaults()) as (session, peer):
        began_s, last_s = trio.current_time(), 0.0
        for number in range(1500):
            late_s = chance.uniform(0.0, 0.1) if number % 7 == 0 else chance.uniform(0.0, 0.01)
            last_s = max(last_s, number * FRAME_S + late_s)
            await trio.sleep_until(began_s + last_s)
            await session.output.send(numbered(number))
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        found = [
            (h.at_s - began_s, number_of(h.frame.audio)) for h in peer.recorder.heard if isinstance(h.frame, AudioFrame)
        ]
        dropped_s = session.statistics().audio_out_dropped_s
    assert dropped_s < 0.15
    assert max(at_s - number * FRAME_S for at_s, number in found if number is not None) <= 0.16


async def test_what_was_cut_is_not_told_as_written(autojump_clock: MockClock) -> None:
    """write_audio says False of the frames of which something was left out, and True of all others."""
    told: dict[int, bool] = {}
    async with memory_session(defaults()) as (session, peer), trio.open_nursery() as nursery:

        async def write(number: int) -> None:
            told[number] = await session.output.write_audio(numbered(number))

        began_s = trio.current_time()
        for number in range(200):
            made_s = number * FRAME_S
            await trio.sleep_until(began_s + (1.3 if 1.0 <= made_s < 1.3 else made_s))
            nursery.start_soon(write, number)
            await trio.testing.wait_all_tasks_blocked()
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        samples = np.concatenate([np.frombuffer(f.audio, "<i2") for f in peer.recorder.of(AudioFrame)])
    whole = {n for n in range(200) if np.count_nonzero(samples == FIRST_LEVEL + n) == FRAME_SAMPLES}
    assert len(told) == 200
    assert {n for n, delivered in told.items() if delivered} == whole
    assert 150 < len(whole) < 195


@pytest.mark.parametrize("blocked_s", [0.05, 0.1, 0.2, 0.35])
async def test_a_busy_machine_costs_an_echo_no_sample(blocked_s: float, autojump_clock: MockClock) -> None:
    """Where this side itself stood still, what waits is read before anything is filled: nothing is altered."""
    async with (
        memory_session(defaults(audio_out_10ms_chunks=2)) as (session, peer),
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def echo() -> None:
            async for frame in session.input:
                if isinstance(frame, AudioFrame):
                    await session.output.send(frame)

        @nursery.start_soon
        async def be_busy() -> None:
            for _ in range(20):
                await trio.sleep(1.011)
                autojump_clock.jump(blocked_s)

        began_s = trio.current_time()
        for number in range(1100):
            await trio.sleep_until(began_s + number * FRAME_S)
            await peer.send(numbered(number))
        await trio.sleep(0.02)
        heard = [frame.audio for frame in peer.recorder.of(AudioFrame)]
        assert session.statistics().audio_out_dropped_s == 0
        nursery.cancel_scope.cancel()
    assert heard == [numbered(number).audio for number in range(1100)]
