"""Frames that set something on this side: volume, mixer, filter. They never reach the wire."""

from collections.abc import Mapping
from typing import final

from attrs import Factory, field, frozen
from attrs.validators import instance_of

from ..audio.loudness import MAX_VOLUME


@final
@frozen(kw_only=True)
class MixerControlFrame:
    """Settings for the mixer of one output track; it never reaches the wire."""

    settings: Mapping[str, object] = Factory(dict)
    enabled: bool | None = None
    destination: str | None = None


@final
@frozen(kw_only=True)
class FilterControlFrame:
    """Settings for the audio filter of one direction, inbound unless ``output``; it never reaches the wire."""

    settings: Mapping[str, object] = Factory(dict)
    enabled: bool | None = None
    output: bool = field(default=False, validator=instance_of(bool))


def _loudness(_instance: object, _attribute: object, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"VolumeFrame.volume must be a number, not {value!r}")
    if not 0 <= value <= MAX_VOLUME:
        raise ValueError(f"VolumeFrame.volume must be between 0 and {MAX_VOLUME:g}, not {value!r}: 1 is as it was made")


@final
@frozen(kw_only=True)
class VolumeFrame:
    """How loud the bot is from now on, queued audio included: 1 as it was made, 0 silent, 10 at most.

    The change glides over 20 ms. It never reaches the wire.
    """

    volume: float = field(validator=_loudness)
    destination: str | None = None
