"""Both sides of a call in one file: each sound at its time, whatever its format, and no more memory than allowed."""

import errno
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import trio
from trio.testing import MockClock

from tests.session.helpers import params
from trio_transports import AudioFrame
from trio_transports.audio import AudioFormat
from trio_transports.audio.wav import read_wav
from trio_transports.observe import recorder
from trio_transports.observe.recorder import Recording
from trio_transports.observe.stereo_file import Piece, StereoFile
from trio_transports.testing import ScriptedPeer, memory_session

RATE = 16000
Samples = npt.NDArray[np.int16]


def block(value: int, duration_s: float, rate: int = RATE) -> AudioFrame:
    return AudioFrame(audio=np.full(round(duration_s * rate), value, "<i2").tobytes(), sample_rate=rate)


def sides(path: Path) -> tuple[Samples, Samples]:
    audio_format, pcm = read_wav(path)
    assert audio_format == AudioFormat(RATE, 2)
    both = np.frombuffer(pcm, "<i2").reshape(-1, 2)
    return both[:, 0], both[:, 1]


def spans(samples: Samples, level: int) -> list[tuple[float, float]]:
    """Where the sound is at about this level: from and to, in seconds; a gap under 20 ms is none."""
    loud = np.flatnonzero(np.abs(samples.astype(int) - level) < abs(level) // 4)
    if not len(loud):
        return []
    cuts = np.flatnonzero(np.diff(loud) > RATE // 50)
    starts, ends = np.concatenate(([0], cuts + 1)), np.concatenate((cuts, [len(loud) - 1]))
    return [(loud[a] / RATE, (loud[b] + 1) / RATE) for a, b in zip(starts, ends, strict=True)]


def assert_spans(
    found: Sequence[tuple[float, float]], expected: Sequence[tuple[float, float]], within_s: float
) -> None:
    assert len(found) == len(expected), found
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=within_s)


async def speak(peer: ScriptedPeer, frame: AudioFrame) -> None:
    """Say it in real time, each 20 ms when they have been said."""
    size = frame.format.size_bytes(frame.format.samples_in(0.02))
    for at in range(0, len(frame.audio), size):
        await trio.sleep(0.02)
        await peer.send(AudioFrame(audio=frame.audio[at : at + size], sample_rate=frame.sample_rate))


@pytest.mark.parametrize("rate", [16000, 8000, 24000])
async def test_each_sound_stands_at_its_time(rate: int, tmp_path: Path, autojump_clock: MockClock) -> None:
    """Caller left, bot right, twice; at any rate within 10 ms, though one of them is silent in between."""
    path = tmp_path / "call.wav"
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer), recorder(session, path):
        for turn in range(2):
            await trio.sleep_until(trio.current_time() + 1.0)
            await speak(peer, block(4000, 0.4, rate))
            await trio.sleep(0.6)
            await session.output.send(block(-6000, 0.5, rate))
            await trio.sleep(1.0)
            assert turn < 2
    left, right = sides(path)
    assert_spans(spans(left, 4000), [(1.0, 1.4), (4.0, 4.4)], 0.01)
    assert_spans(spans(right, -6000), [(2.0, 2.5), (5.0, 5.5)], 0.01)


async def test_what_an_interruption_cut_off_is_not_in_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Audio had left ahead of time; what was not heard of it is silence, and the next answer stands at its time."""
    path = tmp_path / "call.wav"
    settings = params(audio_out_auto_silence=False, audio_out_lead_ms=500)
    async with memory_session(settings) as (session, _), recorder(session, path):
        for _ in range(2):
            await trio.sleep(1.0)
            await session.output.send(block(6000, 3.0))
            await trio.sleep(1.0)
            await session.output.interrupt()
            await trio.sleep(1.0)
    _, right = sides(path)
    assert_spans(spans(right, 6000), [(1.0, 2.0), (4.0, 5.0)], 0.03)


async def test_a_caller_in_bursts_is_heard_as_it_spoke(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What comes at once goes on without a hole or an overlap, and what comes a little late makes no hole."""
    path = tmp_path / "call.wav"
    async with memory_session(params()) as (session, peer), recorder(session, path):
        await trio.sleep(1.0)
        for _ in range(10):
            for _ in range(5):
                await peer.send(block(4000, 0.02))
            await trio.sleep(0.1)
        await trio.sleep(1.0)
    left, _ = sides(path)
    (found,) = spans(left, 4000)
    assert found[1] - found[0] == pytest.approx(1.0, abs=0.001)


async def test_a_slow_disk_costs_audio_and_no_memory(tmp_path: Path) -> None:
    """Past the bound pieces are left out and counted; what comes after them stands at its own time."""
    recording = Recording(0.0, max_waiting_bytes=6400)
    for number in range(20):
        recording.left(block(6000, 0.1).audio, AudioFormat(RATE), None, 0.1 * number)
        assert recording._waiting_bytes <= 6400
    assert recording.lost_s == pytest.approx(1.8)
    file = StereoFile.create(tmp_path / "call.wav", RATE)
    await recording.flush(file.write)
    recording.left(block(6000, 0.1).audio, AudioFormat(RATE), None, 2.0)
    await recording.flush(file.finish)
    _, right = sides(tmp_path / "call.wav")
    assert_spans(spans(right, 6000), [(0.0, 0.2), (2.0, 2.1)], 0.001)


async def test_a_full_disk_ends_the_recording_and_not_the_call(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def write(_file: StereoFile, _pieces: Sequence[Piece]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(StereoFile, "write", write)
    async with memory_session(params()) as (session, peer), recorder(session, tmp_path / "call.wav") as recording:
        for _ in range(2):
            await speak(peer, block(4000, 0.4))
            await trio.sleep(1)
        assert session.is_connected
        assert recording.failure is not None
        assert recording.failure.errno == errno.ENOSPC
    assert caplog.text.count("has ended, the call goes on") == 1


async def test_a_file_that_cannot_be_is_told_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with memory_session(params()) as (session, _):
        with pytest.raises(FileNotFoundError):
            async with recorder(session, tmp_path / "none" / "call.wav"):
                pytest.fail("it has begun")


async def test_cancelled_it_holds_what_was_said(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The block is cancelled in the middle of a word: the file ends there, and is whole."""
    path = tmp_path / "call.wav"
    async with memory_session(params()) as (session, peer):
        with trio.CancelScope() as scope:
            async with recorder(session, path):
                scope.deadline = trio.current_time() + 0.5  # a thread has made the file: it takes time of its own
                await speak(peer, block(4000, 2.0))
        assert not session._parts.outbound.taps.each
    left, _ = sides(path)
    assert_spans(spans(left, 4000), [(0.0, 0.48)], 0.025)


async def test_the_recorder_says_nothing_to_the_log(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that nobody speaks in leaves a file without sound."""
    with caplog.at_level(logging.WARNING):
        async with memory_session(params()) as (session, _), recorder(session, tmp_path / "call.wav") as recording:
            await trio.sleep(1)
    assert not caplog.records
    assert recording.lost_s == 0
    assert len(sides(tmp_path / "call.wav")[0]) == 0
