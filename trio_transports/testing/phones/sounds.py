"""Sounds for a scripted caller: something that a voice activity detector takes for speech, at no cost."""

import numpy as np

from ...frames import AudioFrame


def speech_like(duration_s: float, *, sample_rate: int = 16000, pitch_hz: float = 140.0, seed: int = 0) -> AudioFrame:
    """Make a voice without words: a pitch that wanders and its harmonics, in syllables, with some breath.

    ``sample_rate`` is in Hz, ``pitch_hz`` how high the voice is; another ``seed`` is another sentence.
    """
    count = round(duration_s * sample_rate)
    t = np.arange(count) / sample_rate
    pitch = pitch_hz * (1 + 0.08 * np.sin(2 * np.pi * 0.7 * t + seed))
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    voice = np.sum([np.sin(n * phase) / n for n in range(1, 12)], axis=0)
    syllables = 0.35 + 0.65 * np.abs(np.sin(2 * np.pi * 2.2 * t + 0.6))
    breath = np.random.default_rng(seed).normal(0, 0.05, count)
    samples = 6000 * (voice * syllables + breath)
    return AudioFrame(audio=np.clip(samples, -32768, 32767).astype("<i2").tobytes(), sample_rate=sample_rate)
