"""The low-pass of the resampler: a Kaiser-windowed sinc, for any place between its taps.

Rules
1. It reaches ``HALF_LENGTH`` samples of the lower rate to each side. It is flat within 0.1 dB up to 90 % of the lower
   Nyquist frequency and below -80 dB from that frequency on, so nothing folds back that can be heard.
2. It is computed once, ``_FINENESS`` times for each of those samples; between two points a straight line is good to
   -100 dB.
3. Coefficients that belong to one output add up to exactly 1: silence stays silence, a constant stays that constant.
   They are multiples of 2**-32. Samples are 16-bit, so every product and sum of them is exact in a float64, in whatever
   order it is computed: nothing in the output depends on how the work was divided.
"""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HALF_LENGTH: Final = 48
_BETA: Final = 8.5
_CUTOFF: Final = 0.943  # of the lower Nyquist frequency; with the two above: 0.07 dB at 0.9, -85 dB from 1.0 on
_FINENESS: Final = 1_024
_ONE: Final = 2.0**32


@cache
def _table() -> Floats:
    at = np.arange(HALF_LENGTH * _FINENESS + 1) / _FINENESS
    window = np.i0(_BETA * np.sqrt(1 - (at / HALF_LENGTH) ** 2))
    # One more point, beyond the end, so that interpolation never reads past it.
    return np.append(np.sinc(_CUTOFF * at) * window, 0.0)


def coefficients(places: Floats) -> Floats:
    """Return a row of coefficients for each row of places: distances from the middle in samples of the lower rate."""
    table = _table()
    at = np.abs(places)
    at *= _FINENESS
    np.minimum(at, HALF_LENGTH * _FINENESS, out=at)
    index = at.astype(np.intp)
    at -= index
    values = table[index]
    values += at * (table[index + 1] - values)
    values[np.abs(places) > HALF_LENGTH] = 0.0
    values *= _ONE / values.sum(axis=1, keepdims=True)
    np.rint(values, out=values)
    largest = np.abs(values).argmax(axis=1)
    values[np.arange(len(values)), largest] += _ONE - values.sum(axis=1)
    values /= _ONE
    return values
