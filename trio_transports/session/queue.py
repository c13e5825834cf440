"""One destination's queue: PCM in the line's format, what stands between it, and what was promised about it.

Rules
1. A place is a number of bytes since the session's start. Three places are known: up to where audio was pushed, taken
   from the queue, and written to the wire.
2. What is not audio stands at a place: see ``session.queue_marks``. What an interruption leaves stays at its places:
   see ``session.kept``. What was promised is about places, too: see ``session.receipts``.
3. A chunk that finds nothing before it may pass: it is counted as pushed and taken, and was never in the queue.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import final

from attrs import define, field

from ..audio.chunking import Chunker
from ..serializers.protocol import Message
from .chunk_form import ChunkForm
from .kept import Kept
from .queue_marks import QueueMark, QueueMarks
from .receipts import Promise, Receipts


@final
@define(eq=False)
class AudioQueue:
    """Owned by one track. What answers True wants the clock to look at the track now."""

    form: ChunkForm
    chunker: Chunker = field(init=False)
    marks: QueueMarks = field(factory=QueueMarks, init=False)
    receipts: Receipts = field(factory=Receipts, init=False)
    kept: Kept = field(factory=Kept, init=False)
    pushed: int = field(default=0, init=False)
    taken: int = field(default=0, init=False)
    written: int = field(default=0, init=False)
    push_began: int = field(default=0, init=False)
    """Where the audio of the latest push begins: a promise is about that."""
    available_at_s: float = field(default=-inf, init=False)
    """When the next chunk became whole, if the queue had run dry before."""
    pushed_at_s: float = field(default=-inf, init=False)

    def __attrs_post_init__(self) -> None:
        self.chunker = Chunker(self.form.size_bytes)

    def follow(self, before: "AudioQueue") -> None:
        """Go on where another ended, from which all audio is gone."""
        self.pushed = self.taken = self.written = self.push_began = before.pushed
        self.marks = before.marks

    @property
    def queued_s(self) -> float:
        return self.chunker.pending_bytes / self.form.bytes_per_second

    # Filling

    def push(self, pcm: bytes, now_s: float, *, left_out: bool = False) -> bool:
        """Queue PCM; ``left_out``: some of what was given was not pushed."""
        chunker = self.chunker
        had_chunk = chunker.pending_bytes >= chunker.size_bytes
        chunker.push(pcm)
        self.pushed += len(pcm)
        if left_out:
            self.receipts.cut_until = self.pushed
        self.pushed_at_s = now_s
        if had_chunk:
            return False
        if chunker.pending_bytes >= chunker.size_bytes:
            self.available_at_s = now_s
        return True

    def pad(self, now_s: float, least_bytes: int = 0) -> bool:
        """Complete the last chunk with silence, of which there has to be so much."""
        had_chunk = self.chunker.has_chunk
        if least_bytes:
            self.chunker.push(bytes(least_bytes))
            self.pushed += least_bytes
        self.pushed += self.chunker.pad()
        if self.chunker.has_chunk and not had_chunk:
            self.available_at_s = now_s
            return True
        return False

    def keep(self) -> None:
        """What was pushed last is to be said to its end."""
        self.kept.add(self.push_began, self.pushed)

    def mark(self, messages: Sequence[Message], *, ends_utterance: bool, is_kept: bool = False, kind: str = "") -> None:
        self.marks.put(QueueMark(self.pushed, messages, ends_utterance, is_kept, kind=kind))

    def hold(self, reached: Callable[[], None], dropped: Callable[[], None], holds_bytes: int) -> None:
        """Have ``reached`` called when the turn of this place has come, or ``dropped`` at an interruption before."""
        self.marks.put(QueueMark(self.pushed, (), False, reached=reached, dropped=dropped, holds_bytes=holds_bytes))

    # Emptying

    def pass_chunk(self, now_s: float) -> int:
        """A chunk goes past the empty queue; return its place; rule 3."""
        place = self.push_began = self.taken = self.pushed
        self.pushed = self.taken = place + self.form.size_bytes
        self.pushed_at_s, self.available_at_s = now_s, -inf
        return place

    # What is popped from the chunker is told by ``take`` or ``skip``.

    def take(self, pcm: bytes) -> None:
        """A chunk leaves the queue for the wire."""
        if self.kept.gaps:
            self.taken = self.kept.passed(self.taken + len(pcm))
        else:
            self.taken += len(pcm)
        self.available_at_s = -inf

    def skip(self, pcm: bytes) -> None:
        """A chunk leaves the queue for nowhere: the promises about it are broken, and no others."""
        before = self.taken
        self.taken = after = self.kept.passed(before + len(pcm))
        self.receipts.break_if(lambda receipt: receipt.end > before and receipt.begin < after)

    def drop(self) -> float:
        """Drop all audio; return how long it was."""
        dropped_s = self.queued_s
        self.chunker.clear()
        self.taken = self.pushed
        self.available_at_s = -inf
        self.not_delivered(self.pushed)
        return dropped_s

    def drop_oldest(self, duration_s: float) -> float:
        """Drop whole chunks from the head until the queue is that much shorter; return by how much it is."""
        dropped_s = 0.0
        while dropped_s < duration_s and (pcm := self.chunker.pop()) is not None:
            self.skip(pcm)
            dropped_s += self.form.duration_s
        return dropped_s

    def interrupt(self) -> float:
        """Drop all audio but what is kept; return how long it was."""
        kept = self.kept
        if not kept.touches(self.written, self.pushed):
            kept.clear()
            return self.drop()
        before_s, stays = self.queued_s, list(kept.what_stays(self.taken, self.pushed))
        data = self.chunker.drain()
        for begin, end, at in stays:
            self.chunker.push(data[at : at + end - begin])
        self.taken = stays[0][0] if stays else self.pushed
        kept.leave_only([(begin, end) for begin, end, _ in stays], self.pushed)
        self.receipts.break_if(lambda receipt: not kept.covers(max(receipt.begin, self.written), receipt.end))
        return before_s - self.queued_s

    # Promises

    def promise(self, settle: Callable[[bool], None]) -> None:
        """Have ``settle`` called once what was pushed last was written (True) or dropped (False)."""
        if self.receipts.cut_until == self.pushed:
            settle(False)
        elif self.written >= self.pushed or (self.push_began == self.pushed and not self.chunker.pending_bytes):
            settle(True)
        else:
            self.receipts.waiting.append(Promise(self.push_began, self.pushed, settle))

    def wrote(self, place: int) -> None:
        """All audio before this place is on the wire."""
        if place > self.written:
            self.written = place
            if self.kept.spans:
                self.kept.wrote(place)
            if self.receipts.waiting:
                self.receipts.keep(place)

    def lose(self, place: int) -> None:
        """What was not written up to this place is lost, also of what goes on behind it."""
        begin = self.written
        if begin < place:
            self.receipts.break_if(lambda receipt: receipt.begin < place and receipt.end > begin)
        self.not_delivered(place)

    def not_delivered(self, place: int) -> None:
        """What was not written up to this place will not be."""
        self.written = max(self.written, place)
        self.receipts.break_until(place)
