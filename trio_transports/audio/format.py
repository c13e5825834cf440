"""What a run of PCM is: its rate and channel count, and the exact arithmetic between bytes, samples and seconds.

PCM is signed 16-bit little-endian, interleaved, everywhere in this library. A *sample* below means one instant: one
16-bit number for each channel.
"""

from typing import Final, final

from attrs import field, frozen
from attrs.validators import ge, instance_of

from .._documented import documented

__all__ = ["AudioFormat"]

SAMPLE_WIDTH: Final = 2
"""Bytes of one 16-bit number."""
LEAST_S: Final = 0.001
"""What a piece of audio counts for at least, where what waits is bounded in seconds: a peer's pieces may be as short as
a sample, or empty, and each takes some memory."""


@documented
@final
@frozen
class AudioFormat:
    """The rate and channel count that give meaning to a run of PCM bytes."""

    sample_rate: int = field(validator=[instance_of(int), ge(1)])
    """Samples per second of each channel, in Hz."""
    num_channels: int = field(default=1, validator=[instance_of(int), ge(1)])
    """1 for mono, 2 for stereo."""

    @property
    def bytes_per_sample(self) -> int:
        """The bytes of one sample of all channels: two for each channel."""
        return SAMPLE_WIDTH * self.num_channels

    @property
    def bytes_per_second(self) -> int:
        """How many bytes one second takes."""
        return SAMPLE_WIDTH * self.num_channels * self.sample_rate

    def samples(self, size_bytes: int) -> int:
        """Whole samples in ``size_bytes``; a size that splits a sample is a ValueError."""
        samples, rest = divmod(size_bytes, self.bytes_per_sample)
        if rest:
            raise ValueError(
                f"{size_bytes} bytes are not whole samples of {self}: pass a multiple of {self.bytes_per_sample} bytes"
            )
        return samples

    def size_bytes(self, samples: int) -> int:
        """How many bytes so many samples take."""
        return samples * self.bytes_per_sample

    def duration_s(self, size_bytes: int) -> float:
        """How many seconds so many bytes play."""
        return self.samples(size_bytes) / self.sample_rate

    def samples_in(self, duration_s: float) -> int:
        """The number of samples nearest to ``duration_s``."""
        return round(duration_s * self.sample_rate)

    def silence(self, samples: int) -> bytes:
        """Silence of so many samples, as bytes."""
        return bytes(self.size_bytes(samples))

    def __str__(self) -> str:
        channels = {1: "mono", 2: "stereo"}.get(self.num_channels, f"{self.num_channels} channels")
        return f"{self.sample_rate} Hz {channels}"


def counted_s(size_bytes: int, sample_rate: int, num_channels: int) -> float:
    """How long a piece plays, but ``LEAST_S`` at least."""
    duration_s = size_bytes / (SAMPLE_WIDTH * num_channels * sample_rate)
    return duration_s if duration_s > LEAST_S else LEAST_S
