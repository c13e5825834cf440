"""How loud a side is, told at a steady pace of its own audio.

Rules
1. A level is the mean power in decibels, as ears hear it: 0 for 60 dB below full scale and less, 1 for full scale.
2. One is told for every ``every_ms`` of audio heard, the latest only when a frame holds more.
"""

from collections.abc import Iterator
from math import log10
from typing import Final, final

import numpy as np
from attrs import define, field

from ...frames import AudioFrame, AudioLevelFrame

_QUIET_DB: Final = -60.0
_FULL_SCALE: Final = 32768.0


def level_of(pcm: bytes) -> float:
    """The loudness of 16-bit PCM, from 0 to 1."""
    if not pcm:
        return 0.0
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    mean_square = float(np.mean(np.square(samples))) / _FULL_SCALE**2
    if mean_square <= 0:
        return 0.0
    return min(1.0, max(0.0, 1 - 10 * log10(mean_square) / _QUIET_DB))


@final
@define(eq=False)
class Meter:
    """Counts one side's audio."""

    _speaker: str
    _every_ms: int
    _heard_ms: float = field(default=0.0, init=False)

    def hear(self, frame: AudioFrame) -> Iterator[AudioLevelFrame]:
        """Give the level of this frame if it is time for one."""
        self._heard_ms += 1000 * frame.duration_s
        if self._heard_ms >= self._every_ms:
            self._heard_ms %= self._every_ms
            yield AudioLevelFrame(level=level_of(frame.audio), speaker=self._speaker)
