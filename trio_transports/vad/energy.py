"""Voice activity without a model: speech is what stands out from the noise floor, band by band.

Rules
1. Every 16 ms, the power of the last 32 ms in bands from 120 Hz to 4 kHz (7.8 kHz at 16 kHz), in dB. Mains hum lies
   mostly below, and what of it does not belongs to the floor, since it is steady.
2. Each band has its own noise floor. It follows falling power at once and rising power by ``_RISE_DB_PER_S``: speech
   has gaps that pull it down again, noise has none.
3. A floor is never below what the band's power never fell below in the last ``_MEMORY_S`` seconds. So a noise that
   begins, or grows by any amount, is floor after that time.
4. The first windows are taken for noise: their mean is the first floor.
5. The score is how far the two bands that stand out most do so, on average. The confidence is a logistic curve of it:
   0.7, the default that is asked for, is ``_MIDDLE_DB`` and 1.3 dB more. White noise alone stays a decibel below that.
"""

from collections.abc import Sequence
from math import exp
from typing import Final, final

import numpy as np
import numpy.typing as npt
from attrs import define, field

from .._documented import documented
from .analyzer import SpeechEvent, VADParams
from .listener import Listener, Samples, listening_rate

_Floats = npt.NDArray[np.float64]

_HOP_S: Final = 0.016
_EDGES_HZ: Final = (120, 400, 800, 1400, 2200, 3200, 4000, 5500, 7800)
_RISE_DB_PER_S: Final = 3.0
_FALL: Final = 0.2  # of the way down, each hop
_SMOOTHING: Final = 0.4
_MEMORY_S: Final = 1.5
_MEMORY_PARTS: Final = 6
_LEARNING_HOPS: Final = 20
_LOWEST_FLOOR_DB: Final = -80.0
_HIGHEST_SCORE_DB: Final = 25.0
_MIDDLE_DB: Final = 6.2
_SLOPE_DB: Final = 1.5


def _score(above_db: float) -> float:
    return min(max(above_db, 0.0), _HIGHEST_SCORE_DB)


@final
class _Floor:
    """The noise floor of all bands, and how far a window stands above it."""

    def __init__(self, rate: int) -> None:
        hop = round(_HOP_S * rate)
        self.window = 2 * hop
        self.hop = hop
        edges = [edge for edge in _EDGES_HZ if edge <= rate / 2]
        bins = np.rint(np.array(edges) * self.window / rate).astype(np.intp)
        self._edges = 2 * bins  # the spectrum is summed as real and imaginary numbers side by side
        # Scaled so that a full-scale sine within a band of one bin is 0 dB.
        self._taper = (np.hanning(self.window + 1)[:-1] / (self.window / 4)).astype(np.float32)
        self._per_bin_db = 10 * np.log10(np.diff(bins))
        bands = len(self._per_bin_db)
        self._floor: _Floats = np.full(bands, _LOWEST_FLOOR_DB)
        self._smooth: _Floats = np.full(bands, _LOWEST_FLOOR_DB)
        self._part: _Floats = np.full(bands, np.inf)
        self._parts: list[_Floats] = []
        self._hops = 0
        self._part_hops = round(_MEMORY_S / _MEMORY_PARTS / _HOP_S)
        self._rise_db = _RISE_DB_PER_S * _HOP_S

    def score_db(self, samples: Samples) -> float:
        spectrum = np.fft.rfft(samples * self._taper)
        power = spectrum.view(spectrum.real.dtype)
        power *= power
        level_db: _Floats = np.add.reduceat(power, self._edges)[:-1].astype(np.float64)
        level_db += 1e-12
        np.log10(level_db, out=level_db)
        level_db *= 10
        level_db -= self._per_bin_db
        hops = self._hops = self._hops + 1
        if hops == 1:
            self._floor = np.maximum(level_db, _LOWEST_FLOOR_DB)
            self._smooth = level_db.copy()
        above = level_db - self._floor
        self._floor += above / hops if hops <= _LEARNING_HOPS else np.minimum(above * _FALL, self._rise_db)
        self._remember(level_db)  # and level_db is used up
        np.maximum(self._floor, _LOWEST_FLOOR_DB, out=self._floor)
        above.sort()
        most, next_most = above[-2:].tolist()
        return (_score(most) + _score(next_most)) / 2

    def _remember(self, level_db: _Floats) -> None:
        """Keep the lowest power of the last seconds, in parts, and lift the floor to it; rule 3."""
        level_db -= self._smooth
        level_db *= _SMOOTHING
        self._smooth += level_db
        np.minimum(self._part, self._smooth, out=self._part)
        if self._hops % self._part_hops:
            return
        self._parts.append(self._part)
        self._part = np.full(len(level_db), np.inf)
        if len(self._parts) == _MEMORY_PARTS:
            np.maximum(self._floor, np.min(self._parts, axis=0), out=self._floor)
            del self._parts[0]


@documented
@final
@define(eq=False)
class EnergyVADAnalyzer:
    """An analyzer that needs no model and no extra. It tells speech from steady noise, not from music."""

    params: VADParams = field(factory=VADParams)
    """When to believe that somebody speaks."""
    _listener: Listener | None = field(init=False, default=None, repr=False)
    _floor: _Floor | None = field(init=False, default=None, repr=False)

    def start(self, sample_rate: int) -> None:
        """Prepare for mono PCM of that rate, in Hz. Called once before the first audio, and again after ``stop``."""
        floor = _Floor(listening_rate(sample_rate))
        self._listener = Listener(self.params, sample_rate, floor.window, floor.hop)
        self._floor = floor

    def analyze(self, pcm: bytes) -> Sequence[SpeechEvent]:
        """Take the next mono audio; return what became certain with it, timed in seconds since ``start``."""
        if self._listener is None:
            raise RuntimeError("EnergyVADAnalyzer.analyze was called before start(sample_rate) or after stop()")
        return self._listener.feed(pcm, self._confidence)

    def _confidence(self, samples: Samples) -> float:
        assert self._floor is not None
        return 1 / (1 + exp((_MIDDLE_DB - self._floor.score_db(samples)) / _SLOPE_DB))

    def stop(self) -> None:
        """Let go of what ``start`` took; it can be started again."""
        self._listener = None
        self._floor = None

    def fresh(self) -> "EnergyVADAnalyzer":
        """One with the same settings for another call."""
        return EnergyVADAnalyzer(self.params)
