"""Pictures: one, or several that make an animation."""

from collections.abc import Iterable
from typing import cast, final

from attrs import field, frozen
from attrs.validators import instance_of

from .._documented import documented
from .common import LOCAL


def _pair(values: Iterable[int]) -> tuple[int, int]:  # typed, as a bare ``tuple`` is not; _size checks the length
    return cast(tuple[int, int], tuple(values))


def _size(_instance: object, _attribute: object, value: tuple[int, int]) -> None:
    if len(value) != 2 or not all(type(side) is int and side >= 0 for side in value):
        raise ValueError(f"ImageFrame.size must be (width, height) in pixels, not {value!r}")


@documented
@final
@frozen(kw_only=True)
class ImageFrame:
    """A picture: raw pixels, or a file. Sent, it is brought into the shape that the parameters ask for."""

    image: bytes = field(validator=instance_of(bytes))
    """The pixels, row by row from the top, or the file's bytes. The wrong number of pixels is an error when it is
    sent."""
    size: tuple[int, int] = field(converter=_pair, validator=_size)
    """Width and height, in pixels."""
    format: str = "RGB"
    """``RGB``, ``RGBA``, ``BGR``, ``GRAY`` or ``YUV420`` for raw pixels; ``JPEG``, ``PNG`` or ``WEBP`` for a file."""
    destination: str | None = None
    """The picture track that it is for, one of ``video_out_destinations``; None is the default one."""
    sync_with_audio: bool = field(default=False, validator=instance_of(bool), metadata=LOCAL)
    """Shown when the audio that was sent before it has left, not at once."""


def _tuple(values: Iterable[ImageFrame]) -> tuple[ImageFrame, ...]:
    return tuple(values)


@documented
@final
@frozen(kw_only=True)
class SpriteFrame:
    """An animation: images shown one after another."""

    images: tuple[ImageFrame, ...] = field(converter=_tuple)
    """The pictures in turn, at ``video_out_framerate``; a still track shows them again and again."""
