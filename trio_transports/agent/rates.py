"""An agent's audio at the rate its caller wants, chunk by chunk.

Rules
1. A chunk keeps what is known about it; only its PCM and format change.
2. What a resampler holds back (a millisecond or two) comes out as a chunk of its own by ``flush``, and before audio of
   another format.
3. Without a target, or in the target's format, the very chunk that was given is returned.
"""

from collections.abc import Sequence
from typing import final

from attrs import define, field

from ..audio.convert import Converter
from ..audio.format import AudioFormat
from .chunk import AudioChunk


@final
@define(eq=False)
class RateConversion:
    """One stream of chunks, which may change their format on the way."""

    target: AudioFormat | None
    _converter: Converter | None = field(default=None, init=False)

    def process(self, chunk: AudioChunk) -> Sequence[AudioChunk]:
        """What can be given of this chunk; first what the converter still held, where the agent changed its format."""
        target, converter = self.target, self._converter
        if target is None or not chunk.data:
            return (chunk,)
        held: Sequence[AudioChunk] = ()
        if converter is None or converter.source != chunk.format:
            following = Converter(chunk.format, target)  # a ValueError for a rate that cannot be converted
            held = self.flush(chunk)
            converter = self._converter = following
        if converter.is_identity:
            return (*held, chunk)
        return (*held, chunk.with_audio(converter.process(chunk.data), target))

    def flush(self, like: AudioChunk | None = None) -> Sequence[AudioChunk]:
        """Give what is held back; ``like`` says when it came."""
        converter = self._converter
        tail = b"" if converter is None else converter.flush()
        if converter is None or not tail:
            return ()
        received_at = None if like is None else like.received_at
        return (AudioChunk(b"", received_at=received_at).with_audio(tail, converter.target),)
