"""What an adapter records: both sides as they were heard."""

import numpy as np
import numpy.typing as npt
import pytest
import trio
from trio.testing import MockClock

from tests.agent.memory import MemoryAdapter, Wordy
from trio_transports.agent import AudioChunk
from trio_transports.agent.protocols import RawPCMProtocol
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import split_wav_header
from trio_transports.errors import LocalProtocolError

SECOND = b"\1\1" * 24000


def sides(adapter: MemoryAdapter) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    audio_format, pcm = split_wav_header(adapter.recording.wav())
    assert audio_format == AudioFormat(24000, 2)
    stereo = np.frombuffer(pcm, "<i2").reshape(-1, 2)
    return stereo[:, 0], stereo[:, 1]


def heard(track: npt.NDArray[np.int16]) -> tuple[float, float]:
    where = np.flatnonzero(track)
    return float(where[0]) / 24000, float(where[-1] + 1) / 24000


async def test_nothing_is_recorded_unless_asked(autojump_clock: MockClock) -> None:
    """The error says how to ask."""
    adapter = MemoryAdapter()
    with pytest.raises(LocalProtocolError, match="is not connected"):
        adapter.recording.wav()
    async with adapter:
        with pytest.raises(LocalProtocolError, match="record=True"):
            adapter.recording.wav()


@pytest.mark.parametrize("paced", [True, False])
async def test_both_sides(autojump_clock: MockClock, paced: bool) -> None:
    """The caller where it spoke, the agent where it answered, in seconds since the connection."""
    async with MemoryAdapter(record=True) as adapter:
        await trio.sleep(0.5)
        await adapter.send_audio(AudioChunk(SECOND), paced=paced)
        await trio.sleep(2.0)
        await adapter.agent.send(SECOND)
        await trio.sleep(2.0)
    left, right = sides(adapter)
    assert heard(left) == pytest.approx((0.5, 1.5), abs=0.001)
    assert heard(right) == pytest.approx((2.5, 3.5), abs=0.001)


async def test_rates_of_the_wire_do_not_matter(autojump_clock: MockClock) -> None:
    """Both sides are recorded at the caller's rate."""
    protocol = RawPCMProtocol(input_format=AudioFormat(8000), output_format=AudioFormat(16000))
    async with MemoryAdapter(protocol, record=True) as adapter:
        await adapter.send_audio(AudioChunk(SECOND))
        await adapter.agent.send(b"\1\1" * 16000)
        await adapter.drain()
        await trio.sleep(2.0)
    for side in sides(adapter):
        assert heard(side) == pytest.approx((0.0, 1.0), abs=0.03)


async def test_what_was_interrupted_was_not_heard(autojump_clock: MockClock) -> None:
    """By the caller's interruption, or by the agent's own clear."""
    for by_caller in (True, False):
        protocol = RawPCMProtocol(interrupt="stop") if by_caller else Wordy()
        async with MemoryAdapter(protocol, record=True) as adapter:
            await adapter.agent.send(SECOND * 5)
            await trio.sleep(2.0)
            if by_caller:
                await adapter.interrupt()
            else:
                await adapter.agent.send("clear")
            await trio.sleep(1.0)
        assert heard(sides(adapter)[1]) == pytest.approx((0.0, 2.0), abs=0.001)
