"""Sounds with and without speech, at levels that are known."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from trio_transports.vad import SpeechEvent, VADAnalyzer

Floats = npt.NDArray[np.float64]


def pcm(values: Floats) -> bytes:
    return np.rint(np.clip(values, -1, 1) * 32767).astype("<i2").tobytes()


def level(values: Floats, rms_dbfs: float) -> Floats:
    """``values`` made so loud."""
    return np.asarray(values / values.std() * 10 ** (rms_dbfs / 20))


def white(samples: int, rms_dbfs: float, seed: int = 1) -> Floats:
    return level(np.random.default_rng(seed).standard_normal(samples), rms_dbfs)


def pink(samples: int, rms_dbfs: float, seed: int = 1) -> Floats:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    return level(np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1), samples), rms_dbfs)


def hum(
    samples: int, rate: int, rms_dbfs: float, mains: float = 50, harmonics: Sequence[int] = (1, 2, 3, 5, 7)
) -> Floats:
    at = np.arange(samples) / rate
    return level(sum((np.sin(2 * np.pi * mains * k * at + k) / k for k in harmonics), np.zeros(samples)), rms_dbfs)


def vowel(rate: int, duration_s: float, rms_dbfs: float = -20, pitch: float = 120) -> Floats:
    """A buzz with two formants: what energy cannot tell from a voice."""
    at = np.arange(round(rate * duration_s)) / rate
    total = np.zeros(len(at))
    for k in range(1, int(3400 / pitch)):
        frequency = k * pitch
        gain = 1 / (1 + ((frequency - 700) / 150) ** 2) + 0.5 / (1 + ((frequency - 1800) / 200) ** 2)
        total += gain * np.sin(2 * np.pi * frequency * at + k * k)
    return level(total, rms_dbfs)


def heard(analyzer: VADAnalyzer, rate: int, audio: bytes, sizes: Iterable[int] = ()) -> list[SpeechEvent]:
    """What an analyzer tells of ``audio``, given in pieces of these numbers of samples and then of 20 ms."""
    analyzer.start(rate)
    events: list[SpeechEvent] = []
    at = 0
    for size in sizes:
        events += analyzer.analyze(audio[at : at + 2 * size])
        at += 2 * size
    step = 2 * (rate // 50)
    while at < len(audio):
        events += analyzer.analyze(audio[at : at + step])
        at += step
    analyzer.stop()
    return events
