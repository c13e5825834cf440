"""Audio for the peer in many formats, and in very long frames: what that costs, and that it is not heard."""

import gc

import numpy as np
import trio
from trio.testing import MockClock

from tests.session.helpers import RATE, params, seconds
from trio_transports import AudioFrame
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat
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
        wanted = b"".join(converted(frame) for frame in frames)
        assert peer.recorder.audio[: len(wanted)] == wanted
        assert not any(peer.recorder.audio[len(wanted) :])
