"""Whether a pause is the end of a turn: what a turn analyzer is, and one that needs no model.

Rules of ``ProsodyTurnAnalyzer``
1. A voice that ends its turn mostly falls to the bottom of its range; one that will go on, or asks, stays above it.
   (Of languages with a falling statement; a question is then complete by rule 3.)
2. Where the last voiced tenth of a second lies at the lowest the speaker went in this turn, within ``_FLOOR``, and is
   not louder than the rest, ``short_secs`` of silence are enough.
3. Else, and where too little was voiced to tell, it takes ``long_secs``.
"""

from typing import Final, Protocol, final

import numpy as np
import numpy.typing as npt
from attrs import field, frozen
from attrs.validators import gt

from .._documented import documented

_HOP_S: Final = 0.01
_WINDOW_S: Final = 0.04
_LOWEST_HZ, _HIGHEST_HZ = 65.0, 400.0
_VOICED: Final = 0.5
"""The correlation of a window with itself one period later, above which it is voiced."""
_QUIET: Final = 0.02
"""The power of a window, as a part of the loudest one's, under which it is not listened to."""
_FLOOR: Final = 1.03
_FEWEST: Final = 12
_LAST: Final = 5
_LOOKS_BACK_S: Final = 4.0

Floats = npt.NDArray[np.float64]


class TurnAnalyzer(Protocol):
    """Any object with this method is a turn analyzer. It may take its time: it is called in a worker thread."""

    def is_complete(self, turn: bytes, sample_rate: int, silence_secs: float) -> bool:
        """Whether the turn is over. ``turn`` is its mono PCM, of which the last ``silence_secs`` are silent."""


@documented
@final
@frozen(kw_only=True)
class ProsodyTurnAnalyzer:
    """Goes by pause, pitch and energy, and needs no extra."""

    short_secs: float = field(default=0.3, validator=gt(0))
    """Seconds of silence that end a turn whose voice has fallen. Shorter answers sooner, and breaks in more often."""
    long_secs: float = field(default=1.0, validator=gt(0))
    """Seconds of silence that end any other turn. Shorter breaks in on those who think while they speak."""

    def is_complete(self, turn: bytes, sample_rate: int, silence_secs: float) -> bool:
        """Whether the turn is over, by how the voice ended and how long it has been silent."""
        if silence_secs >= self.long_secs:
            return True
        return silence_secs >= self.short_secs and _falls(turn, sample_rate, silence_secs)


def _falls(turn: bytes, sample_rate: int, silence_secs: float) -> bool:
    samples = np.frombuffer(turn, "<i2").astype(np.float64)
    spoken = samples[: len(samples) - round(silence_secs * sample_rate)]
    pitches, powers = _voiced(spoken[-round(_LOOKS_BACK_S * sample_rate) :], sample_rate)
    if len(pitches) < _FEWEST:
        return False
    ends_hz = float(np.median(pitches[-_LAST:]))
    lowest_hz = float(np.percentile(pitches, 5))
    return ends_hz <= _FLOOR * lowest_hz and float(np.mean(powers[-_LAST:])) <= float(np.mean(powers))


def _voiced(samples: Floats, sample_rate: int) -> tuple[Floats, Floats]:
    """The pitch and the power of each window that has a pitch."""
    hop, width = round(_HOP_S * sample_rate), round(_WINDOW_S * sample_rate)
    if len(samples) < width:
        return np.empty(0), np.empty(0)
    windows = np.lib.stride_tricks.sliding_window_view(samples, width)[::hop]
    windows = windows - windows.mean(axis=1, keepdims=True)
    powers = (windows * windows).mean(axis=1)
    # The correlation of a window with itself, by way of its spectrum.
    size = 1 << (2 * width - 1).bit_length()
    spectrum = np.fft.rfft(windows, size, axis=1)
    likeness = np.fft.irfft(spectrum * spectrum.conj(), size, axis=1)[:, :width]
    first, last = int(sample_rate / _HIGHEST_HZ), min(width, int(sample_rate / _LOWEST_HZ))
    period = first + likeness[:, first:last].argmax(axis=1)
    peak = likeness[np.arange(len(windows)), period] / (likeness[:, 0] + 1e-9)
    is_voiced = (peak > _VOICED) & (powers > _QUIET * powers.max())
    return sample_rate / period[is_voiced], powers[is_voiced]
