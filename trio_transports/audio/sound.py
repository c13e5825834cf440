"""Recorded sounds: loaded once, converted once to each format they are played in, shared by all who play them."""

from os import PathLike
from typing import Literal, final

import numpy as np
import numpy.typing as npt
from attrs import field, frozen
from attrs.validators import instance_of

from .._documented import documented
from .channels import mix_channels
from .convert import Converter
from .format import AudioFormat
from .wav import read_wav

__all__ = ["Sound"]

Frames = npt.NDArray[np.int16]
"""One row for each sample, one column for each channel."""


@final
@documented
@frozen(eq=False)
class Sound:
    """A run of PCM to be played, once or in a loop."""

    audio_format: AudioFormat = field(validator=instance_of(AudioFormat))
    """Its rate and channels; it is converted, once, to those it is played in."""
    pcm: bytes = field(validator=instance_of(bytes), repr=False)
    """16-bit little-endian samples, at least one."""
    _converted: dict[tuple[AudioFormat, bool], Frames] = field(factory=dict, init=False, repr=False)

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
        key = (audio_format, loop)
        if key not in self._converted:
            self._converted[key] = self._convert(audio_format, around="itself" if loop else "silence")
        return self._converted[key]

    def _convert(self, audio_format: AudioFormat, *, around: Literal["itself", "silence"]) -> Frames:
        source, channels = self.audio_format, audio_format.num_channels
        if source.sample_rate == audio_format.sample_rate:
            pcm = mix_channels(self.pcm, source.num_channels, channels)
            return np.frombuffer(pcm, "<i2").reshape(-1, channels)
        converter = Converter(source, audio_format)
        count = source.samples(len(self.pcm))
        # What the filter sees before and after the sound; a tenth of a second is more than it can reach.
        margin = source.sample_rate // 10
        frames = np.frombuffer(self.pcm, "<i2").reshape(count, -1)
        before = np.arange(-margin, 0)
        after = np.arange(count, count + margin)
        if around == "itself":
            surrounded = frames[np.concatenate((before, np.arange(count), after)) % count]
        else:
            surrounded = np.pad(frames, ((margin, margin), (0, 0)))
        pcm = converter.process(surrounded.tobytes())
        ratio = audio_format.sample_rate / source.sample_rate
        first = round((margin / source.sample_rate + converter.delay_s) * audio_format.sample_rate)
        length = max(round(count * ratio), 1)
        return np.frombuffer(pcm, "<i2").reshape(-1, channels)[first : first + length]
