"""How loud audio is, and how it falls silent: changes that glide, so that none of them is heard as a click."""

from typing import Final, final

import numpy as np

from .ramp import Ramp

GLIDE_S: Final = 0.02
FADE_S: Final = 0.005
MAX_VOLUME: Final = 10.0

_INT16: Final = np.dtype("<i2")


@final
class Volume:
    """A factor for 16-bit PCM: 1 leaves it as it is, 0 is silence. What would pass full scale is cut off there."""

    __slots__ = ("_ramp", "is_one")

    def __init__(self, volume: float) -> None:
        self._ramp = Ramp(volume)
        self.is_one = volume == 1

    def go(self, volume: float, sample_rate: int) -> None:
        """Glide to another volume with the next audio."""
        self._ramp.go(volume, round(GLIDE_S * sample_rate))
        self.is_one = False

    def apply(self, pcm: bytes, num_channels: int) -> bytes:
        frames = np.frombuffer(pcm, _INT16).reshape(-1, num_channels)
        gain = self._ramp.take(len(frames))
        if isinstance(gain, float | int) and gain == 1:
            self.is_one = True
            return pcm
        louder = frames * (gain if isinstance(gain, float | int) else gain[:, np.newaxis])
        clipped: bytes = np.clip(np.rint(louder), -32768, 32767).astype(_INT16).tobytes()
        return clipped


def fade_out(pcm: bytes, num_channels: int) -> bytes:
    """The audio as it falls silent, from its full level to none."""
    frames = np.frombuffer(pcm, _INT16).reshape(-1, num_channels)
    gain = 0.5 + 0.5 * np.cos(np.pi * (np.arange(len(frames)) + 1) / max(len(frames), 1))
    return np.rint(frames * gain[:, np.newaxis]).astype(_INT16).tobytes()
