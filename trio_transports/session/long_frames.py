"""Audio that takes long to convert, converted before it is queued.

Rules
1. After each ``PIECE_S`` all others have a turn: at an odd rate a second of audio takes up to 80 ms, and at a low one a
   few bytes are minutes.
2. It has a converter of its own, so nothing that is sent meanwhile is mixed with it. What begins and ends there is not
   joined to the audio before and after, which is not heard once in so long a time.
3. To who sent it, it is as if it waited for room: cancelled, it was not queued, and an interruption drops all of it.
"""

from collections.abc import Callable
from typing import Final

import trio
from attrs import evolve

from ..audio.convert import Converter
from ..audio.format import AudioFormat
from ..frames import AudioFrame

PIECE_S: Final = 0.25


async def converted_in_turns(frame: AudioFrame, line: AudioFormat, check: Callable[[], None]) -> AudioFrame:
    """Convert a frame to the line's format; ``check`` raises once nothing can be sent any more."""
    converter = Converter(frame.format, line)
    step = converter.source.size_bytes(converter.source.samples_in(PIECE_S))
    pieces: list[bytes] = []
    for at in range(0, len(frame.audio), step):
        pieces.append(converter.process(frame.audio[at : at + step]))
        await trio.lowlevel.checkpoint()
        check()
    pieces.append(converter.flush())
    quiet = line.size_bytes(line.samples_in(converter.delay_s))  # in front of the first sample, as long as the delay
    pcm = b"".join(pieces)[quiet:]
    return evolve(frame, audio=pcm, sample_rate=line.sample_rate, num_channels=line.num_channels, pts=None)
