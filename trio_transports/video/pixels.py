"""Raw pictures: what their bytes mean, and one colour format made of another.

Rules
1. Rows run from the top, pixels from the left, without padding. ``RGB``, ``BGR`` and ``RGBA`` have their channels side
   by side; ``GRAY`` has one.
2. ``YUV420`` is planar: all of Y, then Cb, then Cr, these at half the width and height, rounded up. The colours are
   those of JPEG: BT.601 with the full range of 0 to 255.
3. Between formats that hold the same thing nothing is lost: a grey picture's Y is the grey itself. All else goes by way
   of RGB. Alpha is dropped where the target has none, and is opaque where the source had none.
4. A chroma sample is the mean of its four pixels, and is used for all four of them on the way back.
5. Where the arithmetic needs more bits than a byte has, it goes band by band, each an even number of rows: a whole
   picture would take ten times its memory while it is worked on.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt

PixelFormat: TypeAlias = Literal["RGB", "RGBA", "BGR", "GRAY", "YUV420"]
"""How raw pixels are laid out: three or four bytes each, one (GRAY), or half the bytes (YUV420)."""
PIXEL_FORMATS: Final[tuple[PixelFormat, ...]] = get_args(PixelFormat)
"""Every ``PixelFormat`` by its name."""

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""Height by width by channels."""
Wide: TypeAlias = npt.NDArray[np.int32]

_CHANNELS: Final[Mapping[PixelFormat, int]] = {"RGB": 3, "RGBA": 4, "BGR": 3, "GRAY": 1}
_BAND_PIXELS: Final = 1 << 16
_HALF: Final = 1 << 15  # of the fixed point with 16 bits behind it


def is_pixel_format(name: str) -> bool:
    """Whether a picture of this format is raw pixels, not an encoded file."""
    return name in PIXEL_FORMATS


def size_bytes(pixel_format: PixelFormat, width: int, height: int) -> int:
    """How many bytes a raw picture has."""
    if pixel_format == "YUV420":
        return width * height + 2 * _half(width) * _half(height)
    return width * height * _CHANNELS[pixel_format]


def recolour(image: bytes, width: int, height: int, source: PixelFormat, target: PixelFormat) -> bytes:
    """The same picture in another colour format; ValueError when ``image`` is not a picture of that size."""
    expected = size_bytes(source, width, height)
    if len(image) != expected:
        raise ValueError(f"a {source} picture of {width}x{height} has {expected} bytes, not {len(image)}")
    if source == target:
        return image
    if source == "YUV420" and target == "GRAY":
        return image[: width * height]
    if source == "GRAY" and target == "YUV420":
        return image + b"\x80" * (2 * _half(width) * _half(height))
    return from_pixels(to_pixels(image, width, height, source), target)


def to_pixels(image: bytes, width: int, height: int, source: PixelFormat) -> Pixels:
    """The picture as an array of RGB, RGBA or grey."""
    if source == "YUV420":
        return _rgb_of_yuv(np.frombuffer(image, np.uint8), width, height)
    pixels = np.frombuffer(image, np.uint8).reshape(height, width, _CHANNELS[source])
    return pixels[..., ::-1] if source == "BGR" else pixels


def from_pixels(pixels: Pixels, target: PixelFormat) -> bytes:
    """The bytes of an array of RGB, RGBA or grey in the target's format."""
    return _WRITERS[target](pixels)


def _half(length: int) -> int:
    return (length + 1) // 2


def _rgb(pixels: Pixels) -> Pixels:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[..., :3]


def _write_rgb(pixels: Pixels) -> bytes:
    return _rgb(pixels).tobytes()


def _write_bgr(pixels: Pixels) -> bytes:
    return _rgb(pixels)[..., ::-1].tobytes()


def _write_rgba(pixels: Pixels) -> bytes:
    if pixels.shape[2] == 4:
        return pixels.tobytes()
    opaque = np.full((*pixels.shape[:2], 4), 255, np.uint8)
    opaque[..., :3] = pixels  # a single channel goes to all three
    return opaque.tobytes()


def _write_gray(pixels: Pixels) -> bytes:
    if pixels.shape[2] == 1:
        return pixels.tobytes()
    return b"".join(_luma(*_channels(pixels[band])).astype(np.uint8).tobytes() for band in _bands(*pixels.shape[:2]))


def _luma(red: Wide, green: Wide, blue: Wide) -> Wide:
    return (19595 * red + 38470 * green + 7471 * blue + _HALF) >> 16


def _write_yuv(pixels: Pixels) -> bytes:
    planes: tuple[list[bytes], ...] = ([], [], [])
    for band in _bands(*pixels.shape[:2]):
        red, green, blue = _channels(_rgb(pixels[band]))
        blueness = (-11058 * red - 21710 * green + 32768 * blue + _HALF >> 16) + 128
        redness = (32768 * red - 27439 * green - 5329 * blue + _HALF >> 16) + 128
        parts = (_luma(red, green, blue), _quartered(blueness), _quartered(redness))
        for plane, part in zip(planes, parts, strict=True):
            plane.append(np.clip(part, 0, 255).astype(np.uint8).tobytes())
    return b"".join(part for plane in planes for part in plane)


def _bands(height: int, width: int) -> Iterator[slice]:
    """The rows of each band; rule 5."""
    rows = max(2, _BAND_PIXELS // width // 2 * 2)
    return (slice(at, min(at + rows, height)) for at in range(0, height, rows))


_WRITERS: Final[Mapping[PixelFormat, Callable[[Pixels], bytes]]] = {
    "RGB": _write_rgb,
    "BGR": _write_bgr,
    "RGBA": _write_rgba,
    "GRAY": _write_gray,
    "YUV420": _write_yuv,
}


def _channels(pixels: Pixels) -> tuple[Wide, Wide, Wide]:
    wide = pixels.astype(np.int32)
    return wide[..., 0], wide[..., 1], wide[..., 2]


def _quartered(plane: Wide) -> Wide:
    """The mean of each two by two; an odd last row or column counts twice."""
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    total = even[0::2, 0::2] + even[0::2, 1::2] + even[1::2, 0::2] + even[1::2, 1::2]
    return cast("Wide", (total + 2) >> 2)


def _rgb_of_yuv(planes: Pixels, width: int, height: int) -> Pixels:
    across, down = _half(width), _half(height)
    bright = planes[: width * height].reshape(height, width)
    blue, red = planes[width * height :].reshape(2, down, across)
    rgb = np.empty((height, width, 3), np.uint8)
    for band in _bands(height, width):
        luma = bright[band].astype(np.int32)
        blueness, redness = _spread(blue, band, width), _spread(red, band, width)
        rgb[band, :, 0] = np.clip(luma + (91881 * redness + _HALF >> 16), 0, 255)
        rgb[band, :, 1] = np.clip(luma - (22554 * blueness + 46802 * redness + _HALF >> 16), 0, 255)
        rgb[band, :, 2] = np.clip(luma + (116130 * blueness + _HALF >> 16), 0, 255)
    return rgb


def _spread(plane: Pixels, band: slice, width: int) -> Wide:
    """A chroma plane's part for a band, at full size, around zero."""
    small = plane[band.start // 2 : _half(band.stop)].astype(np.int32) - 128
    return small.repeat(2, axis=0).repeat(2, axis=1)[: band.stop - band.start, :width]
