"""The stereo recording: who is heard where, and when."""

import numpy as np
import numpy.typing as npt
import pytest

from trio_transports.agent import ConversationRecording
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import split_wav_header

MONO = AudioFormat(1000)


def steady(value: int, seconds: float) -> bytes:
    return np.full(round(1000 * seconds), value, "<i2").tobytes()


def sides(recording: ConversationRecording) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    audio_format, pcm = split_wav_header(recording.wav())
    assert audio_format == AudioFormat(1000, 2)
    stereo = np.frombuffer(pcm, "<i2").reshape(-1, 2)
    return stereo[:, 0], stereo[:, 1]


def test_both_sides_on_one_timeline() -> None:
    """The caller is left, the agent right, each where it was, and the gaps are silence."""
    recording = ConversationRecording(1000, 100.0)
    recording.caller(steady(1, 0.5), MONO, 100.5)
    recording.agent(steady(2, 0.5), MONO, 101.25)
    left, right = sides(recording)
    assert recording.duration_s == len(left) / 1000 == 1.75
    assert np.flatnonzero(left).tolist() == list(range(500, 1000))
    assert np.flatnonzero(right).tolist() == list(range(1250, 1750))


def test_what_comes_ahead_is_played_in_turn() -> None:
    """A burst does not overwrite itself, and the next piece follows it."""
    recording = ConversationRecording(1000, 0.0)
    for at in (0.0, 0.1, 0.2):
        recording.agent(steady(3, 1.0), MONO, at)
    recording.agent(steady(4, 1.0), MONO, 5.0)
    _, right = sides(recording)
    assert right[:3000].tolist() == [3] * 3000
    assert right[3000:5000].tolist() == [0] * 2000
    assert right[5000:].tolist() == [4] * 1000


def test_what_was_taken_back_was_not_heard() -> None:
    """An interruption cuts off what was not played; what follows takes its place."""
    recording = ConversationRecording(1000, 0.0)
    recording.agent(steady(3, 10.0), MONO, 0.0)
    recording.cut_agent(2.0)
    recording.agent(steady(4, 1.0), MONO, 2.5)
    _, right = sides(recording)
    assert right.tolist() == [3] * 2000 + [0] * 500 + [4] * 1000
    recording.cut_agent(100.0)
    assert recording.duration_s == 3.5


def test_any_format_may_come() -> None:
    """Sides are mixed to mono and resampled, and may change their format on the way."""
    recording = ConversationRecording(1000, 0.0)
    stereo = np.full(2000, 500, "<i2").tobytes()
    recording.caller(stereo, AudioFormat(1000, 2), 0.0)
    recording.caller(np.full(4000, 500, "<i2").tobytes(), AudioFormat(4000), 1.0)
    left, _ = sides(recording)
    assert len(left) == 2000
    assert abs(left[1500] - 500) < 10


def test_it_is_bounded() -> None:
    """Past its length it takes no more, and says so."""
    recording = ConversationRecording(1000, 0.0, max_s=2.0)
    recording.caller(steady(1, 1.0), MONO, 1.5)
    assert recording.is_truncated
    recording.agent(steady(1, 1.0), MONO, 1e9)
    assert recording.duration_s == 2.0
    with pytest.raises(ValueError, match="max_s"):
        ConversationRecording(1000, 0.0, max_s=0)


def test_nothing_recorded_is_an_empty_file() -> None:
    """A conversation that ended at once has a WAV file too."""
    assert split_wav_header(ConversationRecording(1000, 0.0).wav()) == (AudioFormat(1000, 2), b"")
