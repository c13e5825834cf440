"""Pictures as files: JPEG, PNG and WEBP, by Pillow (extra ``video``).

Rules
1. What is decoded is bounded before any pixel is: by the size that the file's header tells. So is how often the decoder
   goes over all of the pixels: once for each scan of a JPEG, and a dozen bytes can make one more.
2. Only these three kinds are opened, whatever else Pillow can: a peer does not choose the decoder.
3. PNG loses nothing, so quality means nothing to it.
4. Samples of 16 bits are scaled to 8, each to the nearest. Pillow would cut off at 255 what is brighter, where the
   picture is grey.
"""

import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final, Literal, TypeAlias, final, get_args

import numpy as np
from attrs import define, field

from .._extras import require
from .pixels import PixelFormat, from_pixels, to_pixels

PictureCodec: TypeAlias = Literal["JPEG", "PNG", "WEBP"]
PICTURE_CODECS: Final[tuple[PictureCodec, ...]] = get_args(PictureCodec)
DEFAULT_QUALITY: Final = 80
MAX_SCANS: Final = 64
"""A progressive JPEG has about ten."""

_MARKER: Final = re.compile(rb"\xff+([^\x00\xff])")
_SCAN: Final = b"\xff\xda"
_END_OF_IMAGE: Final = 0xD9

# What Pillow calls the formats that it takes as they are. The others are brought to RGB, or with alpha to RGBA.
_MODES: Final[Mapping[str, str]] = {"RGB": "RGB", "RGBA": "RGBA", "GRAY": "L"}

_EIGHT_BITS: Final = np.rint(np.arange(1 << 16) / 257).astype(np.uint8)
"""For each sample of 16 bits the one of 8; rule 4."""


def codec_named(name: str) -> PictureCodec:
    """The codec of that name in any case; ValueError names the ones there are."""
    wanted = {"JPG": "JPEG"}.get(name.upper(), name.upper())
    if wanted not in PICTURE_CODECS:
        raise ValueError(f"{name!r} is not a picture codec: use one of {', '.join(PICTURE_CODECS)}")
    return wanted


@final
@define(eq=False)
class PictureEncoder:
    """Makes files of raw pictures; slow enough that it belongs in a worker thread."""

    codec: PictureCodec
    quality: int = DEFAULT_QUALITY
    _pillow: Any = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._pillow = require("PIL.Image", extra="video", needed_by=f"the picture codec {self.codec}")

    def encode(self, image: bytes, width: int, height: int, pixel_format: PixelFormat) -> bytes:
        """One picture as a file of this codec."""
        mode = _MODES.get(pixel_format)
        if mode is None or (mode == "RGBA" and self.codec == "JPEG"):  # JPEG has no alpha
            image, mode = from_pixels(to_pixels(image, width, height, pixel_format), "RGB"), "RGB"
        picture = self._pillow.frombytes(mode, (width, height), image)
        file = BytesIO()
        match self.codec:
            case "JPEG":
                picture.save(file, "JPEG", quality=self.quality)
            case "WEBP":
                picture.save(file, "WEBP", quality=self.quality, method=0)
            case "PNG":
                picture.save(file, "PNG", compress_level=1)
        return file.getvalue()


def decode(
    file: bytes, codec: str, *, max_pixels: int, kept: Literal["RGB", "RGBA"] = "RGB"
) -> tuple[bytes, tuple[int, int]]:
    """A file's picture as RGB or RGBA, and its size; ValueError when it is none, or over ``max_pixels``."""
    name = codec_named(codec)
    pillow = require("PIL.Image", extra="video", needed_by=f"the picture codec {name}")
    try:
        with pillow.open(BytesIO(file), formats=(name,)) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise ValueError(f"a picture of {width}x{height} is over the limit of {max_pixels} pixels")
            if name == "JPEG" and file.count(_SCAN) > MAX_SCANS and _scans(file) > MAX_SCANS:
                raise ValueError(f"a JPEG of more than {MAX_SCANS} scans is not decoded: save it as a baseline JPEG")
            whole = picture if picture.mode[0] != "I" else pillow.fromarray(_EIGHT_BITS[np.asarray(picture)])
            whole.load()
            return (whole if whole.mode == kept else whole.convert(kept)).tobytes(), (width, height)
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as exc:
        raise ValueError(f"a picture is over the limit of {max_pixels} pixels: {exc}") from exc
    except (OSError, SyntaxError, EOFError) as exc:  # what Pillow raises about a file that is broken
        raise ValueError(f"not a {name} picture: {exc}") from exc


def _scans(file: bytes) -> int:
    """How many scans a JPEG has, at most. What looks like one in a thumbnail, or behind the picture, is none."""
    scans = at = 0
    while (marker := _MARKER.search(file, at)) is not None:
        code, at = marker[1][0], marker.end()
        if code == _END_OF_IMAGE and scans:  # one that comes before any scan ends only the tables
            break
        if code < 0xC0 or 0xD0 <= code <= _END_OF_IMAGE:  # these have no length
            continue
        scans += code == _SCAN[1]
        at += int.from_bytes(file[at : at + 2], "big")
    return scans
