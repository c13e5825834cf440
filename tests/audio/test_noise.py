"""Noise suppression: the contract of all filters, and what it takes out and leaves."""

import numpy as np
import pytest

from tests.audio.contracts import FORMATS, check_filter
from tests.tools import requires_module
from trio_transports.audio.filters import AudioFilter
from trio_transports.audio.format import AudioFormat
from trio_transports.testing import speech_like


def suppression(level: float = 2, gain: float = 0) -> AudioFilter:
    requires_module("webrtc_noise_gain", extra="noise")
    from trio_transports.audio.noise import NoiseSuppression

    return NoiseSuppression(level, gain)


@pytest.mark.parametrize("audio_format", [*FORMATS, AudioFormat(16000)], ids=str)
def test_contract(audio_format: AudioFormat) -> None:
    """It is a filter like any other."""
    check_filter(suppression, audio_format)


def level_db(samples: "np.typing.NDArray[np.float64]") -> float:
    return float(10 * np.log10((samples * samples).mean() + 1e-9))


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_steady_noise_goes_and_the_voice_stays(rate: int) -> None:
    """Noise alone falls by more than 8 dB at any rate, what is voiced by less than 3."""
    random = np.random.default_rng(1)
    voice = np.frombuffer(speech_like(2.0, sample_rate=rate).audio, "<i2").astype(np.float64)
    pause = np.zeros(2 * rate)
    noisy = np.concatenate((pause, voice, pause)) + random.normal(0, 300, 6 * rate)
    audio_filter = suppression()
    audio_filter.start(AudioFormat(rate))
    clean = np.frombuffer(audio_filter.filter(noisy.astype("<i2").tobytes()), "<i2").astype(np.float64)
    second = slice(rate, 2 * rate)
    assert level_db(noisy[second]) - level_db(clean[second]) > 8
    middle = slice(5 * rate // 2, 7 * rate // 2)
    assert abs(level_db(noisy[middle]) - level_db(clean[middle])) < 3


def test_gain_makes_a_quiet_voice_louder() -> None:
    """By some 10 dB, and a loud one is not clipped for it."""
    for size, least_db in ((0.1, 6.0), (1.0, 0.0)):
        audio_filter = suppression(level=0, gain=1)
        audio_filter.start(AudioFormat(16000))
        voice = np.frombuffer(speech_like(4.0).audio, "<i2") * size
        heard = np.frombuffer(audio_filter.filter(voice.astype("<i2").tobytes()), "<i2").astype(np.float64)
        second = slice(32000, 48000)
        assert least_db <= level_db(heard[second]) - level_db(voice[second]) < 14
        assert (np.abs(heard) >= 32767).mean() < 0.001


def test_settings_are_checked() -> None:
    """Out of range is a ValueError that names the setting."""
    with pytest.raises(ValueError, match=r"NoiseSuppression\.level must be between 0 and 4"):
        suppression(level=5)
