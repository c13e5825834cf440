"""A gain with a limiter: makes a quiet line louder without cutting the tops of the loud ones off.

Rules
1. The gain is ``gain_db``; a change of it glides.
2. Where the result would pass ``ceiling_dbfs``, it is turned down at once, all channels alike, to just that. From there
   the full gain comes back exponentially, with the time constant ``release_s``.
3. There is no delay: the limiter does not look ahead.
"""

from collections.abc import Mapping
from math import inf, log
from typing import ClassVar, Final, final

import numpy as np

from .._documented import documented
from .format import AudioFormat
from .ramp import Ramp
from .stage import Floats, Kernel, KernelFilter, Rows

__all__ = ["Gain"]

_GLIDE_S: Final = 0.05
_NOTHING: Final = log(1e-6)
_LONGEST: Final = 65_536  # samples at once: the exponents below stay in range


@final
class _GainKernel:
    def __init__(self, audio_format: AudioFormat, settings: Mapping[str, float]) -> None:
        self._format = audio_format
        self._gain = Ramp(10 ** (settings["gain_db"] / 20))
        self._reduction = -inf  # the logarithm of what the limiter takes away, a share of 1
        self.configure(settings)

    def configure(self, settings: Mapping[str, float]) -> None:
        gain = 10 ** (settings["gain_db"] / 20)
        if gain != self._gain.target:
            self._gain.go(gain, self._format.samples_in(_GLIDE_S))
        self._ceiling = 32767 * 10 ** (settings["ceiling_dbfs"] / 20)
        self._decay = 1 / (settings["release_s"] * self._format.sample_rate)

    def run(self, rows: Rows) -> Floats | None:
        if len(rows) > _LONGEST:
            return np.concatenate([self._run(rows[at : at + _LONGEST]) for at in range(0, len(rows), _LONGEST)])
        return self._run(rows)

    def _run(self, rows: Rows) -> Floats:
        gain = self._gain.take(len(rows))
        louder: Floats = np.multiply(rows, gain if isinstance(gain, float) else gain[:, np.newaxis], dtype=np.float64)
        highest, lowest = float(louder.max()), float(louder.min())
        if self._reduction == -inf and highest <= self._ceiling and -lowest <= self._ceiling:
            return louder
        peaks = np.abs(louder).max(axis=1) if louder.shape[1] > 1 else np.abs(louder[:, 0])
        needed = np.full(len(peaks), -inf)
        over = peaks > self._ceiling
        needed[over] = np.log1p(-self._ceiling / peaks[over])
        # reduction[n] = max(needed[n], reduction[n - 1] * decay), as one running maximum of logarithms.
        passed = np.arange(1, len(peaks) + 1) * self._decay
        needed += passed
        needed[0] = max(needed[0], self._reduction)
        reduction = np.maximum.accumulate(needed) - passed
        end = float(reduction[-1])
        self._reduction = end if end > _NOTHING else -inf
        reduction[reduction <= _NOTHING] = -inf
        louder *= (1 - np.exp(reduction))[:, np.newaxis]
        return louder


@documented
@final
class Gain(KernelFilter):
    """Make it louder or quieter by ``gain_db``, never louder than ``ceiling_dbfs``.

    What would be louder is turned down at once, and comes up again in ``release_s`` seconds. ``enabled=False`` passes
    audio on untouched until ``control`` turns it on.
    """

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "gain_db": (-120.0, 60.0),
        "ceiling_dbfs": (-60.0, 0.0),
        "release_s": (0.001, 10.0),
    }
    """Its settings by name, each with the least and the most that it can be."""

    def __init__(
        self, gain_db: float = 0.0, *, ceiling_dbfs: float = -1.0, release_s: float = 0.1, enabled: bool = True
    ) -> None:
        super().__init__(enabled=enabled, gain_db=gain_db, ceiling_dbfs=ceiling_dbfs, release_s=release_s)

    def _make(self, audio_format: AudioFormat, settings: Mapping[str, float]) -> Kernel:
        return _GainKernel(audio_format, settings)
