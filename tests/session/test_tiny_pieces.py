"""Audio in pieces of one to seven samples, at another rate than the line's: it is what one conversion of it all is."""

import random

import numpy as np
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.session.helpers import RATE, params
from trio_transports import AudioFrame
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat
from trio_transports.testing import memory_session

SECONDS = 0.3


def words(rate: int, channels: int, seed: int) -> bytes:
    """Loud and of all pitches, so that a sample that is lost, doubled or moved shows."""
    noise = np.random.default_rng(seed).integers(-12_000, 12_000, (round(rate * SECONDS), channels))
    return noise.astype("<i2").tobytes()


def pieces(pcm: bytes, size: int, chance: random.Random) -> list[bytes]:
    """Of one to seven samples, of so many bytes each."""
    found, at = list[bytes](), 0
    while at < len(pcm):
        found.append(pcm[at : at + chance.randint(1, 7) * size])
        at += len(found[-1])
    return found


@pytest.mark.parametrize("way", ["send", "write_audio"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 24000, 44100, 48000])
async def test_tiny_pieces_are_one_stream(rate: int, channels: int, way: str, autojump_clock: MockClock) -> None:
    """No gap, nothing lost and nothing twice: the same as in one piece but for rounding, and again after a pause."""
    chance, source = random.Random(rate + channels), AudioFormat(rate, channels)
    told: list[bool] = []
    async with memory_session(params(audio_out_auto_silence=False, ping_interval=None)) as (session, peer):
        for round_number in range(2):
            before = len(peer.recorder.audio)
            pcm = words(rate, channels, round_number)
            async with trio.open_nursery() as nursery:

                async def write(frame: AudioFrame) -> None:
                    told.append(await session.output.write_audio(frame))

                for piece in pieces(pcm, source.bytes_per_sample, chance):
                    frame = AudioFrame(audio=piece, sample_rate=rate, num_channels=channels)
                    if way == "send":
                        await session.output.send(frame)
                    else:  # each is queued before the next comes, and waits for what completes its chunk
                        nursery.start_soon(write, frame)
                        for _ in range(3):
                            await trio.lowlevel.checkpoint()
                await session.output.drain()
            await wait_all_tasks_blocked()
            converter = Converter(source, AudioFormat(RATE, 1))
            wanted = np.frombuffer(converter.process(pcm) + converter.flush(), "<i2").astype(int)
            heard = np.frombuffer(peer.recorder.audio[before:], "<i2").astype(int)
            assert 0 <= len(heard) - len(wanted) < RATE // 50 + 1
            assert np.abs(heard[: len(wanted)] - wanted).max() <= 1
            assert not heard[len(wanted) :].any()
            await trio.sleep(1)
        assert session.statistics().audio_out_dropped_s == 0
    assert all(told)
