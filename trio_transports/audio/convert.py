"""Turning a stream of one format into another: rate and channel count, with state across calls.

Rules
1. Channels are mixed where there are fewer samples to work on: down before resampling, up after it.
2. Equal formats return the very object that was given.
"""

from typing import final

from attrs import define, field
from attrs.validators import instance_of

from .._documented import documented
from .channels import mix_channels
from .format import AudioFormat
from .resample import Resampler

__all__ = ["Converter"]


@documented
@final
@define(eq=False)
class Converter:
    """Turn a stream of PCM in ``source`` format into ``target`` format, in pieces of any number of whole samples."""

    source: AudioFormat = field(validator=instance_of(AudioFormat))
    """The format of what is given."""
    target: AudioFormat = field(validator=instance_of(AudioFormat))
    """The format of what comes out."""
    _resampler: Resampler | None = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        rates = self.source.sample_rate, self.target.sample_rate
        channels = min(self.source.num_channels, self.target.num_channels)
        self._resampler = Resampler(*rates, channels) if rates[0] != rates[1] else None

    @property
    def is_identity(self) -> bool:
        """Whether there is nothing to do: the formats are the same."""
        return self.source == self.target

    @property
    def delay_s(self) -> float:
        """How much later a sound stands in the output than in the input."""
        return 0.0 if self._resampler is None else self._resampler.delay_s

    def process(self, pcm: bytes) -> bytes:
        """Convert the next audio. A few milliseconds are held back until more comes, or ``flush``."""
        source, target = self.source.num_channels, self.target.num_channels
        resampler = self._resampler
        if resampler is None:
            return pcm if source == target else mix_channels(pcm, source, target)
        if source > target:
            return resampler.process(mix_channels(pcm, source, target))
        return mix_channels(resampler.process(pcm), source, target)

    def flush(self) -> bytes:
        """Return what is still held, ``delay_s`` of audio, and begin anew."""
        if self._resampler is None:
            return b""
        tail = self._resampler.flush()
        return mix_channels(tail, self._resampler.num_channels, self.target.num_channels)

    def reset(self) -> None:
        """Forget the audio so far."""
        if self._resampler is not None:
            self._resampler.reset()
