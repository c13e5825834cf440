"""A long frame's way into its queue, in pieces, where it is to be converted or filtered.

Rules
1. After each piece of ``intake.PIECE_S`` all others have a turn: at a low rate a few bytes are minutes of audio, and
   their conversion takes seconds.
2. Each piece waits for room, as a frame does. No other audio of its destination, and no end of an utterance, comes in
   between.
3. An interruption ends it, and what is not queued yet counts as dropped; but not what is to be said to its end.
4. What is promised afterwards is about the whole frame.
"""

from collections.abc import Awaitable, Callable, Iterator

from attrs import evolve

from ..frames import AudioFrame
from .intake import PIECE_S
from .statistics import Counters
from .track import Track


async def queue_in_pieces(
    track: Track,
    frame: AudioFrame,
    counters: Counters,
    put: Callable[[AudioFrame], None],
    give_way: Callable[[], Awaitable[None]],
) -> bool:
    """Queue it; False: some of it was dropped meanwhile. Cancelled, it leaves what it has queued."""
    interruptions, begin, left_s = counters.interruptions, track.queue.pushed, frame.duration_s
    outcomes: list[bool] = []
    track.intake.is_amid_frame = True
    try:
        for number, piece in enumerate(_pieces(frame, track.queue.form.duration_s)):
            if number:
                await give_way()
                if counters.interruptions != interruptions and frame.interruptible:
                    counters.audio_out_dropped_s += left_s
                    return False
            put(piece)
            track.queue.promise(outcomes.append)
            left_s -= piece.duration_s
    finally:
        track.intake.is_amid_frame = False
    track.queue.push_began = begin  # rule 4
    return all(outcomes)


def _pieces(frame: AudioFrame, chunk_s: float) -> Iterator[AudioFrame]:
    """Longer than two chunks, each: what is shorter is taken for a live source's by the intake."""
    source = frame.format
    step = source.size_bytes(max(source.samples_in(max(PIECE_S, 3 * chunk_s)), 1))
    for at in range(0, len(frame.audio), step):
        yield evolve(frame, audio=frame.audio[at : at + step], pts=None)
