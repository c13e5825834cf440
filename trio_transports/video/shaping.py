"""Any picture brought to one size and one colour format, as a track's parameters ask for it.

Rules
1. ``letterbox`` keeps the picture's proportions and fills what is left with black, evenly on both sides.
   ``stretch`` fills the whole and does not care about proportions.
2. A picture that has the right shape already passes as it is, byte for byte.
3. An encoded picture (JPEG, PNG, WEBP) is decoded first, which needs the extra ``video``.
"""

from typing import Final, Literal, TypeAlias, cast, final

import numpy as np
from attrs import frozen

from .._documented import documented
from .pixels import PIXEL_FORMATS, PixelFormat, Pixels, from_pixels, is_pixel_format, recolour, size_bytes, to_pixels
from .scaling import scaled

PictureFit: TypeAlias = Literal["letterbox", "stretch"]
"""How a picture of other proportions fills a track: in its shape with black beside it, or stretched."""

MAX_PIXELS: Final = 16 * 1024 * 1024
"""A larger picture is refused: 4096 by 4096, which as RGB is 48 MB."""


@documented
@final
@frozen(kw_only=True)
class PictureShape:
    """The size and colours that a track's pictures have."""

    width: int
    """In pixels."""
    height: int
    """In pixels."""
    pixel_format: PixelFormat = "RGB"
    """How its pixels are laid out."""
    fit: PictureFit = "letterbox"
    """What becomes of a picture of other proportions."""

    def apply(self, image: bytes, size: tuple[int, int], source_format: str) -> bytes:
        """The picture in this shape; ValueError says what is wrong with it."""
        if not is_pixel_format(source_format):
            from .codec import decode

            kept: Literal["RGB", "RGBA"] = "RGBA" if self.pixel_format == "RGBA" else "RGB"
            image, size = decode(image, source_format, kept=kept, max_pixels=MAX_PIXELS)
            source_format = kept
        source = cast("PixelFormat", source_format)
        width, height = size
        check_picture(image, width, height, source)
        if size == (self.width, self.height):
            return recolour(image, width, height, source, self.pixel_format)
        return from_pixels(self._fitted(to_pixels(image, width, height, source)), self.pixel_format)

    def _fitted(self, pixels: Pixels) -> Pixels:
        if self.fit == "stretch":
            return scaled(pixels, self.width, self.height)
        height, width, channels = pixels.shape
        factor = min(self.width / width, self.height / height)
        inner_width = min(self.width, max(1, round(width * factor)))
        inner_height = min(self.height, max(1, round(height * factor)))
        picture = scaled(pixels, inner_width, inner_height)
        if (inner_width, inner_height) == (self.width, self.height):
            return picture
        whole = np.zeros((self.height, self.width, channels), np.uint8)
        if channels == 4:
            whole[..., 3] = 255
        top, left = (self.height - inner_height) // 2, (self.width - inner_width) // 2
        whole[top : top + inner_height, left : left + inner_width] = picture
        return whole


def as_pixels(
    image: bytes, size: tuple[int, int], source_format: str, wanted: PixelFormat, *, max_pixels: int
) -> tuple[bytes, tuple[int, int]]:
    """The picture as raw pixels, and its size; ValueError says what is wrong with it."""
    if is_pixel_format(source_format):
        return recolour(image, *size, cast("PixelFormat", source_format), wanted), size
    from .codec import decode

    kept: Literal["RGB", "RGBA"] = "RGBA" if wanted == "RGBA" else "RGB"
    pixels, size = decode(image, source_format, max_pixels=max_pixels, kept=kept)
    return recolour(pixels, *size, kept, wanted), size


def check_image(image: bytes, size: tuple[int, int], source_format: str) -> None:
    """Refuse what can be seen to be no picture without decoding it, with a ValueError."""
    if is_pixel_format(source_format):
        check_picture(image, *size, cast("PixelFormat", source_format))
        return
    from .codec import PICTURE_CODECS

    if source_format.upper().replace("JPG", "JPEG") not in PICTURE_CODECS:
        known = ", ".join((*PIXEL_FORMATS, *PICTURE_CODECS))
        raise ValueError(f"its format is {source_format!r}: use one of {known}")


def check_picture(image: bytes, width: int, height: int, pixel_format: PixelFormat) -> None:
    """Refuse what is no picture, or too large a one, with a ValueError that says which."""
    if width < 1 or height < 1:
        raise ValueError(f"a picture of {width}x{height} has no pixels")
    if width * height > MAX_PIXELS:
        raise ValueError(f"a picture of {width}x{height} is over the limit of {MAX_PIXELS} pixels")
    expected = size_bytes(pixel_format, width, height)
    if len(image) != expected:
        raise ValueError(f"a {pixel_format} picture of {width}x{height} has {expected} bytes, not {len(image)}")
