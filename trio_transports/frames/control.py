"""Frames that set something on this side: volume, mixer, filter. They never reach the wire."""

from collections.abc import Mapping
from typing import final

from attrs import Factory, field, frozen
from attrs.validators import instance_of

from .._documented import documented
from ..audio.loudness import MAX_VOLUME


@documented
@final
@frozen(kw_only=True)
class MixerControlFrame:
    """Settings for the mixer of one output track; it never reaches the wire."""

    settings: Mapping[str, object] = Factory(dict)
    """What to change, as the mixer takes it; for ``SoundMixer``: ``sound``, ``volume``, ``loop``."""
    enabled: bool | None = None
    """Turn the mixer on or off; None leaves it as it is."""
    destination: str | None = None
    """The track whose mixer is meant; None is the default one. One without a mixer raises ``LocalProtocolError``."""


@documented
@final
@frozen(kw_only=True)
class FilterControlFrame:
    """Settings for the audio filter of one direction, inbound unless ``output``; it never reaches the wire."""

    settings: Mapping[str, object] = Factory(dict)
    """What to change, as the filter takes it."""
    enabled: bool | None = None
    """Turn the filter on or off; None leaves it as it is."""
    output: bool = field(default=False, validator=instance_of(bool))
    """True for ``audio_out_filter``, False for ``audio_in_filter``."""


def _loudness(_instance: object, _attribute: object, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"VolumeFrame.volume must be a number, not {value!r}")
    if not 0 <= value <= MAX_VOLUME:
        raise ValueError(f"VolumeFrame.volume must be between 0 and {MAX_VOLUME:g}, not {value!r}: 1 is as it was made")


@documented
@final
@frozen(kw_only=True)
class VolumeFrame:
    """How loud the bot is from now on, queued audio included: 1 as it was made, 0 silent, 10 at most.

    The change glides over 20 ms. It never reaches the wire.
    """

    volume: float = field(validator=_loudness)
    """1 as it was made, 0 silent, 10 at most; above 1 loud speech may clip."""
    destination: str | None = None
    """The track that is meant; None is the default one."""
