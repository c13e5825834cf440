"""Mixers: what plays under (or instead of) an output track's own audio.

Rules of ``SoundMixer``
1. The bed goes on with every chunk, whatever the chunk holds, and sample by sample: neither the size of the chunks nor
   an interruption is heard in it. It goes on unheard while it is off or its volume is 0.
2. Every change glides: volume and on/off in ``FADE_S``, from one sound to another in ``crossfade_s``, during which both
   play. A change in the middle of a glide begins where that one was.
3. A sound that is named again while it plays in a loop plays on; otherwise it begins at its beginning.
4. The sum saturates.
"""

from collections.abc import Mapping
from math import isfinite
from os import PathLike
from typing import Final, Protocol, TypeAlias, final

import numpy as np
import numpy.typing as npt
from attrs import Attribute, define, field

from .._documented import documented
from .format import AudioFormat
from .ramp import Ramp
from .sound import Converted, Frames, Sound

__all__ = ["AudioMixer", "SoundMixer"]

FADE_S: Final = 0.05
_LOUDEST: Final = 8.0
_INT16: Final = np.dtype("<i2")
_LOWEST: Final = np.array(-32768.0)
_HIGHEST: Final = np.array(32767.0)

_Floats: TypeAlias = npt.NDArray[np.float64]

SoundSource: TypeAlias = "Sound | str | PathLike[str]"


class AudioMixer(Protocol):
    """Any object with these members mixes; the session calls ``mix`` once for each chunk, with silence when idle."""

    def start(self, audio_format: AudioFormat) -> None:
        """Prepare for audio of that format. Called once before the first audio, and again after ``stop``."""

    def mix(self, pcm: bytes) -> bytes:
        """Return exactly as many bytes as were given."""

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None:
        """Change settings while it runs, and turn it on or off; None leaves that as it is.

        A wrong setting is a ValueError.

        ``enabled`` is True for on, False for off.
        """

    def stop(self) -> None:
        """Let go of what ``start`` took; it can be started again."""

    def fresh(self) -> "AudioMixer":
        """Make an unstarted mixer with the same settings, for another session."""


@final
class _Voice:
    """One sound being played, with the glide of a crossfade."""

    __slots__ = ("at", "fade", "loop", "name", "sound")

    def __init__(self, name: str, sound: Converted, loop: bool, fade: Ramp) -> None:
        self.name = name
        self.sound = sound
        self.loop = loop
        self.at = 0
        self.fade = fade

    @property
    def is_over(self) -> bool:
        faded_out = self.fade.is_steady and self.fade.target == 0
        return faded_out or (not self.loop and self.at >= len(self.sound.frames))

    def skip(self, samples: int) -> None:
        self.at += samples
        self.sound.until(self.at)  # or all that was skipped would be to convert at once when it is heard again
        if self.loop:
            self.at %= len(self.sound.frames)
        self.fade.skip(samples)

    def take(self, samples: int) -> "Frames | _Floats":
        sound, at = self.sound, self.at
        frames = sound.frames
        length = len(frames)
        end = at + samples
        if sound.done < end:
            sound.until(end)
        if end <= length:
            piece = frames[at:end]
        elif self.loop:
            piece = frames.take(np.arange(at, end), axis=0, mode="wrap")
        else:
            piece = np.zeros((samples, frames.shape[1]), _INT16)
            rest = frames[at:]
            piece[: len(rest)] = rest
        self.at = end % length if self.loop else end
        share = self.fade.take(samples)
        if isinstance(share, float):
            return piece if share else np.zeros_like(piece)
        # Rising fast and then slowly keeps the loudness of two sounds that have nothing in common within 0.6 dB.
        share *= 2 - share
        faded: _Floats = piece * share[:, np.newaxis]
        return faded


def _sounds(value: "Mapping[str, SoundSource] | SoundSource") -> dict[str, Sound]:
    named = value if isinstance(value, Mapping) else {"bed": value}
    return {name: item if isinstance(item, Sound) else Sound.from_wav(item) for name, item in named.items()}


def _volume(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a mixer's volume must be a number, not {value!r}")
    if not isfinite(value) or not 0 <= value <= _LOUDEST:
        raise ValueError(f"a mixer's volume must be between 0 and {_LOUDEST:g}, not {value!r}")
    return float(value)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a mixer's crossfade_s must be a number, not {value!r}")
    if not isfinite(value) or value < 0:
        raise ValueError(f"a mixer's crossfade_s must be at least 0, not {value!r}")
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"a mixer's loop and enabled must be True or False, not {value!r}")
    return value


def _known(instance: "SoundMixer", _attribute: "Attribute[str | None]", value: str | None) -> None:
    if not instance.sounds:
        raise ValueError("SoundMixer.sounds is empty: name at least one sound")
    if value is not None:
        instance._named(value)


@documented
@final
@define(eq=False)
class SoundMixer:
    """Play a sound under the track: a WAV file, a ``Sound``, or several of them by name.

    ``control`` takes the settings ``sound`` (a name), ``volume``, ``loop`` and ``crossfade_s``.
    """

    sounds: dict[str, Sound] = field(converter=_sounds)
    """What there is to play: a WAV file's path or a ``Sound``, or several by name."""
    sound: str | None = field(default=None, validator=_known)
    """The name of the one that plays first; None is the first of them."""
    volume: float = field(default=0.4, converter=_volume, kw_only=True)
    """How loud it is: 1 as it was made, 8 at most. Above 0.5 it competes with the speech."""
    loop: bool = field(default=True, converter=_flag, kw_only=True)
    """Whether it begins again when it has ended; False plays it once."""
    enabled: bool = field(default=True, converter=_flag, kw_only=True)
    """Whether it is heard from the beginning; ``MixerControlFrame(enabled=...)`` changes it."""
    crossfade_s: float = field(default=0.5, converter=_seconds, kw_only=True)
    """Seconds in which one sound goes over into another."""
    _format: AudioFormat | None = field(init=False, default=None, repr=False)
    _voices: list[_Voice] = field(init=False, factory=list, repr=False)
    _gain: Ramp = field(init=False, factory=lambda: Ramp(0.0), repr=False)

    def _named(self, name: object) -> Sound:
        try:
            return self.sounds[name]  # type: ignore[index]
        except (KeyError, TypeError):
            raise ValueError(f"the mixer has no sound {name!r}: it has {', '.join(sorted(self.sounds))}") from None

    def _converted(self, name: str, audio_format: AudioFormat) -> Converted:
        return self._named(name)._converted_to(audio_format, loop=self.loop)

    def start(self, audio_format: AudioFormat) -> None:
        """Begin at the beginning. The sounds are converted as they are played, for all mixers that share them."""
        name = self.sound if self.sound is not None else next(iter(self.sounds))
        converted = {each: self._converted(each, audio_format) for each in self.sounds}
        self._format = audio_format
        self._gain = Ramp(self.volume if self.enabled else 0.0)
        self._voices = [_Voice(name, converted[name], self.loop, Ramp(1.0))]

    def mix(self, pcm: bytes) -> bytes:
        """The track's audio with the sound under it, as many bytes as were given."""
        audio_format = self._format
        if audio_format is None:
            raise RuntimeError("SoundMixer.mix was called before start(audio_format) or after stop()")
        samples = audio_format.samples(len(pcm))
        gain = self._gain
        voices = self._voices
        if not samples or not voices:
            return pcm
        if gain.is_steady and gain.target == 0:
            for voice in voices:
                voice.skip(samples)
            self._voices = [voice for voice in voices if not voice.is_over]
            return pcm
        bed: Frames | _Floats = voices[0].take(samples)
        for voice in voices[1:]:
            bed = bed + voice.take(samples)
        share = gain.take(samples)
        mixed = np.multiply(bed, share if isinstance(share, float) else share[:, np.newaxis], dtype=np.float64)
        mixed += np.frombuffer(pcm, _INT16).reshape(mixed.shape)
        np.rint(mixed, out=mixed)
        np.maximum(mixed, _LOWEST, out=mixed)
        np.minimum(mixed, _HIGHEST, out=mixed)
        if len(voices) > 1 or voices[0].is_over:
            self._voices = [voice for voice in voices if not voice.is_over]
        return mixed.astype(_INT16).tobytes()

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None:
        """Change what is given; all of it, or with an error none of it. Before ``start``, it begins so.

        ``enabled`` turns it on or off; None leaves that as it is.
        """
        unknown = set(settings) - {"sound", "volume", "loop", "crossfade_s"}
        if unknown:
            raise ValueError(
                f"the mixer has no setting {', '.join(map(repr, sorted(unknown)))}: "
                "it has sound, volume, loop and crossfade_s"
            )
        volume = _volume(settings.get("volume", self.volume))
        loop = _flag(settings.get("loop", self.loop))
        crossfade_s = _seconds(settings.get("crossfade_s", self.crossfade_s))
        on = self.enabled if enabled is None else _flag(enabled)
        if "sound" in settings:
            self._named(settings["sound"])
            self.sound = str(settings["sound"])
        self.volume, self.crossfade_s, self.enabled = volume, crossfade_s, on
        changed, self.loop = loop is not self.loop, loop
        audio_format = self._format
        if audio_format is None:
            return
        if changed:
            for voice in self._voices:
                voice.loop, voice.sound = loop, self._converted(voice.name, audio_format)
        if "sound" in settings:
            self._switch(str(settings["sound"]), audio_format)
        target = volume if on else 0.0
        if target != self._gain.target:
            self._gain.go(target, audio_format.samples_in(FADE_S))

    def _switch(self, name: str, audio_format: AudioFormat) -> None:
        if self.loop and any(voice.name == name and voice.fade.target == 1 for voice in self._voices):
            return
        fade = audio_format.samples_in(self.crossfade_s)
        for voice in self._voices:
            voice.fade.go(0.0, fade)
        new = _Voice(name, self._converted(name, audio_format), self.loop, Ramp(0.0))
        new.fade.go(1.0, fade)
        self._voices = [voice for voice in self._voices if not voice.is_over] + [new]

    def stop(self) -> None:
        """Let go of what ``start`` took; it can be started again."""
        self._format = None
        self._voices = []

    def fresh(self) -> "SoundMixer":
        """One with the same settings for another call."""
        return SoundMixer(
            self.sounds,
            self.sound,
            volume=self.volume,
            loop=self.loop,
            enabled=self.enabled,
            crossfade_s=self.crossfade_s,
        )
