"""A picture made larger or smaller: linear, and without aliases when it shrinks.

Rules
1. Each new pixel is a weighted mean of the old ones around its place. The weights fall off in a triangle, which widens
   with the factor when the picture shrinks: no old pixel is passed over, so nothing flickers.
2. Rows first, then columns, each rounded to 8 bits. That is what Pillow's BILINEAR does, and the tests hold the two
   against each other.
3. Where Pillow is installed (extra ``video``) it does the work, in a small part of the time; the last bit may differ.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from math import ceil
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .pixels import Pixels

_MODES: Final[Mapping[int, str]] = {1: "L", 3: "RGB", 4: "CMYK"}
"""What Pillow calls pictures of so many channels. It must not know that one of four is alpha, to weigh by it."""


def scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    """The picture at another size, in each direction by its own factor."""
    pillow = _pillow()
    if pillow is None:
        return scaled_here(pixels, width, height)
    rows, columns, channels = pixels.shape
    picture = pillow.frombytes(_MODES[channels], (columns, rows), pixels.tobytes())
    resized = picture.resize((width, height), pillow.Resampling.BILINEAR)
    return np.frombuffer(resized.tobytes(), np.uint8).reshape(height, width, channels)


@lru_cache(maxsize=1)
def _pillow() -> Any:  # noqa: ANN401 - a module that need not be there
    try:
        return import_module("PIL.Image")
    except ImportError:
        return None


def scaled_here(pixels: Pixels, width: int, height: int) -> Pixels:
    """The same with numpy alone."""
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
