"""Audio for the peer in many formats, and in very long frames: what that costs, and that it is not heard."""

import gc
from collections.abc import Mapping

import numpy as np
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.session.helpers import CHUNK_BYTES, RATE, params, seconds
from tests.session.test_failures import Line, on_a_line, reconnecting
from trio_transports import AudioFrame, BotStoppedSpeakingFrame, EndFrame, Frame
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat
from trio_transports.session.intake import PIECE_S
from trio_transports.testing import memory_session

QUIET = {"audio_out_auto_silence": False, "ping_interval": None}


def words(rate: int, duration_s: float, seed: int) -> AudioFrame:
    """Loud and of all pitches, so that a sample that is lost, doubled or moved shows."""
    noise = np.random.default_rng(seed).integers(-12_000, 12_000, round(rate * duration_s))
    return AudioFrame(audio=noise.astype("<i2").tobytes(), sample_rate=rate)


def converted(frame: AudioFrame) -> bytes:
    """By itself, as the line speaks it: without the converter's delay, which is quiet."""
    converter, line = Converter(frame.format, AudioFormat(RATE)), AudioFormat(RATE)
    pcm = converter.process(frame.audio) + converter.flush()
    return pcm[line.size_bytes(line.samples_in(converter.delay_s)) :]


def assert_heard(heard: bytes, wanted: bytes) -> None:
    """But for rounding, and the silence that completes the last chunk."""
    difference = np.frombuffer(heard[: len(wanted)], "<i2").astype(int) - np.frombuffer(wanted, "<i2")
    assert np.abs(difference).max() <= 1
    assert len(heard) - len(wanted) < CHUNK_BYTES
    assert not any(heard[len(wanted) :])


def converters_alive() -> int:
    gc.collect()
    return sum(type(each) is Converter for each in gc.get_objects())


async def test_few_converters_are_kept(autojump_clock: MockClock) -> None:
    """A hundred formats, one after another, leave a few converters behind, and not a hundred."""
    async with memory_session(params(**QUIET)) as (session, _):
        before = converters_alive()
        for rate in range(20_001, 20_201, 2):
            await session.output.send(seconds(0.01, rate=rate))
        assert converters_alive() - before <= 8
        await session.output.drain()


async def test_formats_in_turn_are_each_converted_as_alone(autojump_clock: MockClock) -> None:
    """Two rates by turns, and six, more than are kept: each frame is heard as if it were the only one."""
    for rates in ([8000, 24000], [8000, 11025, 12000, 22050, 24000, 48000]):
        frames = [words(rate, 0.1, number) for number, rate in enumerate(rates * 10)]
        async with memory_session(params(**QUIET)) as (session, peer):
            for frame in frames:
                await session.output.send(frame)
            await session.output.drain()
            await trio.sleep(0.1)
        assert_heard(peer.recorder.audio, b"".join(converted(frame) for frame in frames))


async def test_others_have_their_turn_while_a_long_frame_is_converted(autojump_clock: MockClock) -> None:
    """Half a minute of audio in few bytes holds up nobody for more than half a second of it, and sounds the same."""
    frame = words(1001, 30.0, 1)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with memory_session(params(**QUIET)) as (session, peer):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            await session.output.send(frame)
            nursery.cancel_scope.cancel()
        await session.output.drain()
        await trio.sleep(0.1)
    assert turns >= 30 / PIECE_S - 1
    assert_heard(peer.recorder.audio, converted(frame))


async def test_a_long_frame_waits_for_room_in_the_midst(autojump_clock: MockClock) -> None:
    """No more of a long frame is converted than there is room for, and it leaves without a gap."""
    frame = words(24_000, 10.0, 1)
    most_s = 0.0
    async with memory_session(params(audio_out_max_queue_secs=2, **QUIET)) as (session, peer):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def look() -> None:
                nonlocal most_s
                while True:
                    most_s = max(most_s, session.output.queued_s)
                    await trio.sleep(0.005)

            began_s = trio.current_time()
            assert await session.output.write_audio(frame)
            assert trio.current_time() - began_s == pytest.approx(10, abs=0.1)
            nursery.cancel_scope.cancel()
        assert session.statistics().silence_chunks == 0
    assert most_s <= 2 + PIECE_S
    await trio.sleep(0.1)
    assert_heard(peer.recorder.audio, converted(frame))


@pytest.mark.parametrize(
    "other", [seconds(0.1), words(8000, 3.0, 2), BotStoppedSpeakingFrame()], ids=["own", "other", "end"]
)
async def test_nothing_comes_amid_a_long_frame(other: Frame, autojump_clock: MockClock) -> None:
    """What another task sends meanwhile, audio or the end of the utterance, comes behind all of it."""
    frame = words(24_000, 3.0, 1)
    async with memory_session(params(audio_out_max_queue_secs=1, **QUIET)) as (session, peer):
        async with trio.open_nursery() as nursery:
            for each in (frame, other):
                nursery.start_soon(session.output.send, each)
                await trio.sleep(0.001)
        await session.output.drain()
        await trio.sleep(0.1)
    wanted = converted(frame)
    if isinstance(other, AudioFrame):
        wanted += converted(other) if other.sample_rate != RATE else other.audio
    assert_heard(peer.recorder.audio, wanted)


@pytest.mark.parametrize("interruptible", [True, False])
async def test_an_interruption_amid_a_long_frame(interruptible: bool, autojump_clock: MockClock) -> None:
    """The rest of a frame is dropped and counted; one that is to be said to its end is."""
    frame = evolve(words(24_000, 10.0, 1), interruptible=interruptible)
    outcome: list[bool] = []
    async with memory_session(params(audio_out_max_queue_secs=1, **QUIET)) as (session, peer):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def write() -> None:
                outcome.append(await session.output.write_audio(frame))

            await trio.sleep(4)
            await session.output.interrupt()
            await trio.sleep(0.1)
            assert bool(outcome) is interruptible
        await session.output.drain()
        heard_s = len(peer.recorder.audio) / 2 / RATE
        dropped_s = session.statistics().audio_out_dropped_s
    assert outcome == [not interruptible]
    assert heard_s == pytest.approx(4 if interruptible else 10, abs=0.1)
    assert dropped_s == pytest.approx(6 if interruptible else 0, abs=0.1)


async def test_a_sender_that_is_cancelled_amid_a_long_frame(autojump_clock: MockClock) -> None:
    """What was queued of it is heard, and what comes next is not held up."""
    async with memory_session(params(audio_out_max_queue_secs=1, **QUIET)) as (session, peer):
        with trio.move_on_after(4):
            await session.output.send(words(24_000, 10.0, 1))
        await session.output.send(seconds(0.1))
        await session.output.drain()
        await trio.sleep(0.1)
        assert len(peer.recorder.audio) / 2 / RATE == pytest.approx(5.1, abs=PIECE_S)
        assert seconds(0.1).audio in peer.recorder.audio


async def test_a_connection_that_is_lost_amid_a_long_frame(autojump_clock: MockClock) -> None:
    """Lost twice: the rest goes to the next one, whatever became stale meanwhile is counted, and the sender is told."""
    line, frame = Line(redial_s=2), words(24_000, 10.0, 1)
    async with on_a_line(line, reconnecting(audio_out_max_queue_secs=1, **QUIET)) as (session, _, _):
        outcome: list[bool] = []
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def write() -> None:
                outcome.append(await session.output.write_audio(frame))

            for loss in range(2):
                await trio.sleep(3)
                line.peers[loss].drop()
        await session.output.drain()
        await trio.sleep(0.1)
        dropped_s = session.statistics().audio_out_dropped_s
    heard_s = sum(len(peer.recorder.audio) for peer in line.peers) / 2 / RATE
    assert outcome == [False]
    assert dropped_s > 0
    assert heard_s + dropped_s == pytest.approx(10, abs=0.2)


class Inverted:
    """A filter: the audio upside down."""

    slow = False

    def start(self, audio_format: AudioFormat) -> None:
        """Nothing to prepare."""

    def filter(self, pcm: bytes) -> bytes:
        return (-np.frombuffer(pcm, "<i2")).tobytes()

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None:
        """Nothing to change."""

    def stop(self) -> None:
        """Nothing to let go of."""

    def fresh(self) -> "Inverted":
        return Inverted()


async def test_a_long_frame_is_filtered_in_pieces(autojump_clock: MockClock) -> None:
    """With a filter, audio of the line's own rate is taken in pieces too."""
    frame, sizes = words(RATE, 5.0, 1), list[int]()

    class Told(Inverted):
        def filter(self, pcm: bytes) -> bytes:
            sizes.append(len(pcm))
            return super().filter(pcm)

        def fresh(self) -> "Told":
            return self

    async with memory_session(params(audio_out_filter=Told(), **QUIET)) as (session, peer):
        assert await session.output.write_audio(frame)
        await trio.sleep(0.1)
    assert sizes == [round(PIECE_S * RATE) * 2] * 10
    assert_heard(peer.recorder.audio, Inverted().filter(frame.audio))


async def test_chunks_longer_than_a_piece(autojump_clock: MockClock) -> None:
    """A line that speaks a second at a time is as exact."""
    frame = words(24_000, 10.0, 1)
    async with memory_session(params(audio_out_10ms_chunks=100, **QUIET)) as (session, peer):
        assert await session.output.write_audio(frame)
        await trio.sleep(2)
    heard, wanted = peer.recorder.audio, converted(frame)
    assert_heard(heard[: len(wanted)], wanted)


async def test_a_call_that_ends_amid_a_long_frame(autojump_clock: MockClock) -> None:
    """Its sender is told as one who waits for room is."""
    quick = params(audio_out_max_queue_secs=1, **QUIET)
    async with memory_session(quick) as (session, _), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await session.output.send(words(24_000, 10.0, 1))

        await trio.sleep(1)
        await session.output.send(EndFrame())
