"""A gain that glides to where it is told to go, so that no change of it is heard as a click.

The gain of a sample depends on its place in the glide alone, so it is the same however the audio is cut.
"""

from typing import final

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]


@final
class Ramp:
    """A straight line from the present value to the target, sample by sample; steady before and after."""

    __slots__ = ("_at", "_from", "_length", "_target")

    def __init__(self, value: float) -> None:
        self._from = self._target = value
        self._at = self._length = 0

    @property
    def target(self) -> float:
        return self._target

    @property
    def is_steady(self) -> bool:
        return self._at >= self._length

    def go(self, target: float, samples: int) -> None:
        """Glide to ``target`` in so many samples, from wherever the gain is now."""
        self._from = self._value(self._at)
        self._target = target
        self._at, self._length = 0, max(samples, 0)

    def _value(self, at: int) -> float:
        if at >= self._length:
            return self._target
        return self._from + (self._target - self._from) * (at / self._length)

    def skip(self, samples: int) -> None:
        """Let the next samples pass."""
        if self._at < self._length:
            self._at += samples

    def take(self, samples: int) -> "_Floats | float":
        """Return the gain of the next samples: one number when it is the same for all."""
        if self._at >= self._length:
            return self._target
        share = np.arange(self._at, self._at + samples) / self._length
        share *= self._target - self._from
        share += self._from
        share[self._length - self._at :] = self._target  # exactly, as it will be from then on
        self._at += samples
        return share
