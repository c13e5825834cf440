"""Words that any line carries, whatever its code and its rate: each is a step of its own height in the audio.

A word is 20 ms at a height of its own and silence behind it, so a lost message is a lost word. What a code or a
resampler does at the edges of a step is too short to be taken for a word.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, final

import numpy as np
from attrs import define, field

from trio_transports import AudioFrame

RATE: Final = 16000
WORD_S: Final = 0.02
PAUSE_S: Final = 0.04
HEIGHT: Final = 2000
_ROOM: Final = 650
"""How far a sample may be from its height: G.711's steps are 1024 up there."""
_LEAST_S: Final = 0.008


def word(number: int) -> AudioFrame:
    """The word of this number, 0 to 14."""
    said = np.full(round(RATE * WORD_S), (number + 1) * HEIGHT, dtype="<i2").tobytes()
    return AudioFrame(audio=said + bytes(2 * round(RATE * PAUSE_S)), sample_rate=RATE)


@final
@define(eq=False)
class Hearing:
    """Reads audio piece by piece, and gives each word once, when enough of it has come."""

    _height: int = field(default=0, init=False)
    _lasted_s: float = field(default=0.0, init=False)

    def feed(self, frame: AudioFrame) -> Sequence[int]:
        samples = np.frombuffer(frame.audio, dtype="<i2").astype(np.int32)[:: frame.num_channels]
        heights = np.rint(samples / HEIGHT).astype(np.int32)
        heights[np.abs(samples - heights * HEIGHT) > _ROOM] = -1  # on the way from one to another
        edges = [0, *(np.flatnonzero(np.diff(heights)) + 1).tolist(), len(heights)]
        words = []
        for start, end in pairwise(edges):
            if end > start and self._is_new_word(int(heights[start]), (end - start) / frame.sample_rate):
                words.append(self._height - 1)
        return words

    def _is_new_word(self, height: int, lasting_s: float) -> bool:
        before_s = self._lasted_s if height == self._height else 0.0
        self._height, self._lasted_s = height, before_s + lasting_s
        return height > 0 and before_s < _LEAST_S <= self._lasted_s
