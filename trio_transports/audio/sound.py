"""Recorded sounds: loaded once, converted once to each format they are played in, shared by all who play them.

Rules
1. A sound is converted as far as it has been played, in pieces of ``PIECE_S``: all of it at once would hold up every
   call for a second, and whoever hangs up after its beginning would have cost as much as who hears all.
2. The last ``KEPT_FORMATS`` formats are remembered: a peer may name any rate. Who plays one that is forgotten plays on.
"""

from os import PathLike
from typing import Final, final

import numpy as np
import numpy.typing as npt
from attrs import field, frozen
from attrs.validators import instance_of

from .._documented import documented
from .convert import Converter
from .format import AudioFormat
from .wav import read_wav

__all__ = ["Sound"]

PIECE_S: Final = 0.1
KEPT_FORMATS: Final = 4

Frames = npt.NDArray[np.int16]
"""One row for each sample, one column for each channel."""


@final
class Converted:
    """A sound in another format, as far as somebody has played it; rule 1."""

    __slots__ = ("_at", "_before", "_converter", "_loop", "_margin", "_source", "done", "frames")

    def __init__(self, pcm: bytes, source: AudioFormat, target: AudioFormat, *, loop: bool) -> None:
        self._source: Frames = np.frombuffer(pcm, "<i2").reshape(-1, source.num_channels)
        self._converter = Converter(source, target)
        self._loop = loop
        if self._converter.is_identity:
            self.frames, self.done = self._source, len(self._source)
            return
        # What the filter sees before and after the sound; a tenth of a second is more than it can reach.
        self._margin = source.sample_rate // 10
        self._at = -self._margin
        self._before = round((self._margin / source.sample_rate + self._converter.delay_s) * target.sample_rate)
        length = max(round(len(self._source) * (target.sample_rate / source.sample_rate)), 1)
        self.frames = np.zeros((length, target.num_channels), np.int16)
        self.done = 0
        """So many samples of it are there; the others are zeros."""

    def until(self, end: int) -> None:
        """Convert what comes before this sample, and a little more."""
        while self.done < min(end, len(self.frames)):
            self._convert_piece()

    def _convert_piece(self) -> None:
        source, frames, rate = self._source, self.frames, self._converter.source.sample_rate
        count = len(source)
        places = np.arange(self._at, min(self._at + round(PIECE_S * rate), count + self._margin))
        self._at += len(places)
        piece = source.take(places, axis=0, mode="wrap")
        if not self._loop:
            piece[(places < 0) | (places >= count)] = 0
        pcm = self._converter.process(piece.tobytes()) if len(places) else self._converter.flush()
        converted = np.frombuffer(pcm, "<i2").reshape(-1, frames.shape[1])
        fresh = converted[self._before :][: len(frames) - self.done]
        self._before = max(self._before - len(converted), 0)
        frames[self.done : self.done + len(fresh)] = fresh
        self.done = self.done + len(fresh) if len(places) else len(frames)


@final
@documented
@frozen(eq=False)
class Sound:
    """A run of PCM to be played, once or in a loop."""

    audio_format: AudioFormat = field(validator=instance_of(AudioFormat))
    """Its rate and channels; it is converted, as it is played, to those it is played in."""
    pcm: bytes = field(validator=instance_of(bytes), repr=False)
    """16-bit little-endian samples, at least one."""
    _converted: dict[tuple[AudioFormat, bool], Converted] = field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.audio_format.samples(len(self.pcm)):
            raise ValueError("Sound.pcm is empty: a sound needs at least one sample")

    @classmethod
    def from_wav(cls, path: "str | PathLike[str]") -> "Sound":
        """Read a WAV file of 16-bit PCM. An empty one is a ValueError."""
        audio_format, pcm = read_wav(path)
        if not pcm:
            raise ValueError(f"{path} holds no audio: a sound needs at least one sample")
        return cls(audio_format, pcm)

    @classmethod
    def from_array(cls, array: npt.ArrayLike, sample_rate: int) -> "Sound":
        """Take 16-bit integers, or floats between -1 and 1; one row for each sample if there are several channels."""
        values = np.asarray(array)
        if values.ndim not in (1, 2):
            raise ValueError(f"a sound is an array of one or two dimensions, not {values.ndim}")
        if values.dtype.kind == "f":
            values = np.clip(np.rint(np.nan_to_num(values.astype(np.float64)) * 32768.0), -32768, 32767)
        elif values.dtype != np.int16:
            raise TypeError(f"a sound is an array of int16 or floats, not {values.dtype}: convert it first")
        channels = values.shape[1] if values.ndim == 2 else 1
        return cls(AudioFormat(sample_rate, channels), values.astype("<i2").tobytes())

    def frames(self, audio_format: AudioFormat, *, loop: bool) -> Frames:
        """Return the sound in another format. In a loop, its end leads into its beginning, to within half a sample."""
        converted = self._converted_to(audio_format, loop=loop)
        converted.until(len(converted.frames))
        return converted.frames

    def _converted_to(self, audio_format: AudioFormat, *, loop: bool) -> Converted:
        """The sound in another format, as far as it has been played."""
        known, key = self._converted, (audio_format, loop)
        converted = known.pop(key, None)
        if converted is None:
            converted = Converted(self.pcm, self.audio_format, audio_format, loop=loop)
            if len(known) >= KEPT_FORMATS:  # rule 2
                del known[next(iter(known))]
        known[key] = converted
        return converted
