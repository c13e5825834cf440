"""A picture made larger or smaller: linear, and without aliases when it shrinks.

Rules
1. Each new pixel is a weighted mean of the old ones around its place. The weights fall off in a triangle, which widens
   with the factor when the picture shrinks: no old pixel is passed over, so nothing flickers.
2. Rows first, then columns, each rounded to 8 bits. That is what Pillow's BILINEAR does, and the tests hold the two
   against each other.
"""

from functools import lru_cache
from math import ceil

import numpy as np
import numpy.typing as npt

from .pixels import Pixels


def scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    """The picture at another size, in each direction by its own factor."""
    if pixels.shape[1] != width:
        pixels = _rows_scaled(pixels, width)
    if pixels.shape[0] != height:
        pixels = _rows_scaled(pixels.transpose(1, 0, 2), height).transpose(1, 0, 2)
    return pixels


def _rows_scaled(pixels: Pixels, length: int) -> Pixels:
    places, weights = _taps(pixels.shape[1], length)
    total = np.full((pixels.shape[0], length, pixels.shape[2]), 0.5, np.float32)
    for place, weight in zip(places, weights, strict=True):
        total += pixels[:, place] * weight[:, np.newaxis]
    return np.clip(total, 0, 255).astype(np.uint8)


@lru_cache(maxsize=32)
def _taps(length: int, wanted: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """For the n-th tap of all new pixels: which old pixel, and how much of it."""
    factor = length / wanted
    reach = max(1.0, factor)
    centres = (np.arange(wanted) + 0.5) * factor
    taps = 2 * ceil(reach) + 1
    places = np.floor(centres - reach).astype(np.intp)[np.newaxis, :] + np.arange(taps)[:, np.newaxis]
    weights = np.maximum(0.0, 1.0 - np.abs(places + 0.5 - centres) / reach)
    weights[(places < 0) | (places >= length)] = 0.0  # past the edge there is nothing: the others take its share
    weights /= weights.sum(axis=0)
    return np.clip(places, 0, length - 1), weights.astype(np.float32)
