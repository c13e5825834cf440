"""Audio for the peer in many formats, and in very long frames: what that costs, and that it is not heard."""

import gc
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.session.helpers import CHUNK_BYTES, RATE, params, seconds
from trio_transports import AudioFrame, ConnectionClosed, EndFrame
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat
from trio_transports.session.long_frames import PIECE_SAMPLES, takes_long
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


@pytest.mark.parametrize("rate", [1001, 20_001, 767_999])
async def test_others_have_their_turn_while_a_long_frame_is_converted(rate: int, autojump_clock: MockClock) -> None:
    """Audio of an odd rate holds up nobody for more than a piece of it, and sounds the same."""
    duration_s = 6.0 if rate < RATE * 2 else 0.6
    frame = words(rate, duration_s, 1)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with memory_session(params(**QUIET)) as (session, peer):
        for _ in range(2):
            turns = 0
            async with trio.open_nursery() as nursery:
                nursery.start_soon(count)
                await session.output.send(frame)
                nursery.cancel_scope.cancel()
            assert turns >= duration_s * max(rate, RATE) / PIECE_SAMPLES
        await session.output.drain()
        await trio.sleep(0.1)
    assert_heard(peer.recorder.audio, converted(frame) * 2)


@pytest.mark.parametrize(
    ("rate", "duration_s", "is_long"),
    [
        (24_000, 40, False),
        (24_000, 42, True),
        (RATE, 60, False),
        (48_000, 20, False),
        (20_001, 0.9, False),
        (20_001, 1.1, True),
    ],
)
def test_what_takes_long_goes_by_its_rate(rate: int, duration_s: float, is_long: bool) -> None:
    """Speech as others send it is queued in one step, however many sentences it has."""
    assert takes_long(seconds(duration_s, rate=rate), AudioFormat(RATE)) is is_long


async def test_who_waits_until_all_is_said_waits_for_it(autojump_clock: MockClock) -> None:
    """Another task that drains meanwhile, twice; and one whose sender gives up does not keep it waiting."""
    frame = words(1001, 3.0, 1)
    async with memory_session(params(**QUIET)) as (session, peer):
        for number in (1, 2):

            async def drained(number: int = number) -> None:
                await session.output.drain()
                await trio.sleep(0.1)
                assert len(peer.recorder.audio) / 2 / RATE == pytest.approx(3.0 * number, abs=0.1)

            await amid(session.output.send(frame), drained)
        began_s = trio.current_time()
        with trio.CancelScope() as scope:

            async def give_up_and_drain() -> None:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(session.output.drain)
                    scope.cancel()

            await amid(session.output.send(frame), give_up_and_drain)
        await session.output.drain()
        assert trio.current_time() - began_s < 1


async def test_an_odd_frame_stands_between_others(autojump_clock: MockClock) -> None:
    """What was sent before it is heard before it to its end, and what is sent after it after it."""
    frames = [words(24_000, 0.5, 1), words(1001, 3.0, 2), words(24_000, 0.5, 3)]
    async with memory_session(params(**QUIET)) as (session, peer):
        for frame in frames:
            await session.output.send(frame)
        await session.output.drain()
        await trio.sleep(0.1)
    assert_heard(peer.recorder.audio, b"".join(converted(frame) for frame in frames))


async def amid(sending: Awaitable[object], then: Callable[[], Awaitable[object]]) -> None:
    """Do something once a frame has begun to be converted."""
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            await sending

        for _ in range(3):
            await trio.lowlevel.checkpoint()
        await then()


@pytest.mark.parametrize("interruptible", [True, False])
async def test_an_interruption_amid_a_long_frame(interruptible: bool, autojump_clock: MockClock) -> None:
    """All of it is dropped and counted, twice over; but not what is to be said to its end."""
    frame = evolve(words(1001, 10.0, 1), interruptible=interruptible)
    outcomes: list[bool] = []

    async with memory_session(params(**QUIET)) as (session, peer):

        async def write() -> None:
            outcomes.append(await session.output.write_audio(frame))

        for _ in range(2):
            await amid(write(), session.output.interrupt)
        await session.output.drain()
        heard_s = len(peer.recorder.audio) / 2 / RATE
        dropped_s = session.statistics().audio_out_dropped_s
    assert outcomes == [not interruptible] * 2
    assert heard_s == pytest.approx(0 if interruptible else 20, abs=0.1)
    assert dropped_s == pytest.approx(20 if interruptible else 0, abs=0.1)


async def test_a_sender_that_is_cancelled_amid_a_long_frame(autojump_clock: MockClock) -> None:
    """Nothing was queued of it, and what comes next is not held up."""
    async with memory_session(params(**QUIET)) as (session, peer):
        for _ in range(2):
            with trio.CancelScope() as scope:

                async def give_up(scope: trio.CancelScope = scope) -> None:
                    scope.cancel()
                    await trio.lowlevel.checkpoint()

                await amid(session.output.send(words(1001, 10.0, 1)), give_up)
            assert scope.cancelled_caught
        await session.output.send(seconds(0.1))
        await session.output.drain()
        await trio.sleep(0.1)
    assert_heard(peer.recorder.audio, seconds(0.1).audio)


async def test_a_call_that_ends_amid_a_long_frame(autojump_clock: MockClock) -> None:
    """Its sender is told as one who waits for room is."""
    async with memory_session(params(**QUIET)) as (session, _):

        async def send() -> None:
            with pytest.raises((trio.ClosedResourceError, ConnectionClosed)):  # while it is being closed, and then
                await session.output.send(words(1001, 10.0, 1))

        await amid(send(), lambda: session.output.send(EndFrame()))
