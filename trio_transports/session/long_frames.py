"""Audio that takes long to convert, converted before it is queued.

Rules
1. Long is what would hold up all others for more than some 20 ms. So after each ``PIECE_SAMPLES`` they have a turn: at
   an odd rate a second of audio may take a third of one, and at a low rate few bytes are minutes.
2. It has a converter of its own, so nothing that is sent meanwhile is mixed with it. What begins and ends there is not
   joined to the audio before and after, which is not heard once in so long a time.
3. To who sent it, it is as if it waited for room: cancelled, it was not queued, and an interruption drops all of it.
   Who waits until all is said waits for it.
"""

from collections.abc import Callable
from typing import Final

import trio
from attrs import evolve

from ..audio.convert import Converter
from ..audio.format import AudioFormat
from ..audio.resample import has_small_ratio
from ..frames import AudioFrame

MOST_SAMPLES: Final = 1_000_000
"""At the higher of the two rates: 20 s at 48 kHz."""
MOST_ODD_SAMPLES: Final = 20_000
"""Where the ratio of the rates is of large numbers, which takes up to a hundred times as long."""
PIECE_SAMPLES: Final = 20_000


def takes_long(frame: AudioFrame, line: AudioFormat) -> bool:
    """Whether to convert it at once would hold up all others; rule 1."""
    if frame.sample_rate == line.sample_rate:
        return False
    samples = len(frame.audio) / 2 * max(line.sample_rate / frame.sample_rate, 1.0)
    if samples <= MOST_ODD_SAMPLES:
        return False
    return samples > MOST_SAMPLES or not has_small_ratio(frame.sample_rate, line.sample_rate)


async def converted_in_turns(frame: AudioFrame, line: AudioFormat, check: Callable[[], None]) -> AudioFrame:
    """Convert a frame to the line's format; ``check`` raises once nothing can be sent any more."""
    source = frame.format
    converter = Converter(source, line)
    higher_rate = max(source.sample_rate, line.sample_rate) * source.num_channels
    step = source.size_bytes(max(source.samples_in(PIECE_SAMPLES / higher_rate), 1))
    quiet = line.size_bytes(line.samples_in(converter.delay_s))  # in front of the first sample, as long as the delay
    pieces: list[bytes] = []
    for at in range(0, len(frame.audio), step):
        piece = converter.process(frame.audio[at : at + step])
        pieces.append(piece[quiet:])
        quiet = max(quiet - len(piece), 0)
        await trio.lowlevel.checkpoint()
        check()
    pieces.append(converter.flush()[quiet:])
    pcm = b"".join(pieces)
    return evolve(frame, audio=pcm, sample_rate=line.sample_rate, num_channels=line.num_channels, pts=None)
