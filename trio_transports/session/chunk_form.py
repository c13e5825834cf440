"""How one destination's audio is cut: the line's format, and how much of it makes a chunk."""

from typing import final

from attrs import field, frozen

from ..audio.format import AudioFormat


@final
@frozen
class ChunkForm:
    """What follows from it is worked out once: it is asked for every chunk."""

    format: AudioFormat
    samples: int
    duration_s: float = field(init=False)
    size_bytes: int = field(init=False)
    bytes_per_second: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "duration_s", self.samples / self.format.sample_rate)
        object.__setattr__(self, "size_bytes", self.format.size_bytes(self.samples))
        object.__setattr__(self, "bytes_per_second", self.format.bytes_per_second)

    def silence(self) -> bytes:
        """A chunk of silence."""
        return bytes(self.size_bytes)
