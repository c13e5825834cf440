"""One destination's queue: PCM in the line's format, what stands between it, and what was promised about it.

Rules
1. A place is a number of bytes since the session's start. Three places are known: up to where audio was pushed, taken
   from the queue, and written to the wire.
2. Messages that are not audio stand at a place: their turn comes when all audio before it was taken.
3. What is to be said to its end (``interruptible=False``) is kept when an interruption drops the rest. It stays at its
   places: those in between, where nothing is left, are passed over as soon as all before them was taken.
4. A promise covers the audio of one push. It is kept once its last byte is on the wire, and broken if any was dropped.
"""

from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from sys import getsizeof
from typing import final

from attrs import define, field, frozen

from ..audio.chunking import Chunker
from ..audio.format import AudioFormat
from ..serializers.protocol import Message


@final
@frozen
class Mark:
    """Messages that leave when all audio before ``place`` has left."""

    place: int
    messages: Sequence[Message]
    ends_utterance: bool
    is_kept: bool = False
    """An interruption leaves it where it is; rule 3."""
    reached: Callable[[], None] | None = None
    """Called when its turn has come."""
    dropped: Callable[[], None] | None = None
    """Called when an interruption drops it."""
    holds_bytes: int = 0
    """The memory that waits with it."""
    kind: str = ""
    """The name of the class of the frame that it was."""


@final
@frozen
class Receipt:
    """A promise about queued audio; rule 4."""

    begin: int
    end: int
    settle: Callable[[bool], None]


@final
@define(eq=False)
class AudioQueue:
    """Owned by one track. What answers True wants the clock to look at the track now."""

    format: AudioFormat
    chunk_samples: int
    chunk_s: float = field(init=False)
    _bytes_per_second: int = field(init=False)
    chunker: Chunker = field(init=False)
    marks: deque[Mark] = field(factory=deque, init=False)
    message_bytes: int = field(default=0, init=False)
    """What the marks' messages take in memory."""
    _receipts: deque[Receipt] = field(factory=deque, init=False)
    pushed: int = field(default=0, init=False)
    taken: int = field(default=0, init=False)
    written: int = field(default=0, init=False)
    push_began: int = field(default=0, init=False)
    """Where the audio of the latest push begins: a promise is about that."""
    _cut_until: int = field(default=-1, init=False)
    """Where what was pushed last ends, if some of it was left out."""
    kept: deque[tuple[int, int]] = field(factory=deque, init=False)
    """From where to where audio is to be said to its end, until it is written."""
    _gaps: deque[tuple[int, int]] = field(factory=deque, init=False)
    """From where to where nothing is left, though something after it is."""
    available_at_s: float = field(default=-inf, init=False)
    """When the next chunk became whole, if the queue had run dry before."""
    pushed_at_s: float = field(default=-inf, init=False)

    def __attrs_post_init__(self) -> None:
        self._bytes_per_second = self.format.bytes_per_second
        self.chunk_s = self.chunk_samples / self.format.sample_rate
        self.chunker = Chunker(self.format.size_bytes(self.chunk_samples))

    @property
    def queued_s(self) -> float:
        return self.chunker.pending_bytes / self._bytes_per_second

    def silence(self) -> bytes:
        """A chunk of silence."""
        return bytes(self.chunker.size_bytes)

    # Filling

    def push(self, pcm: bytes, now_s: float, *, left_out: bool = False) -> bool:
        """Queue PCM; ``left_out``: some of what was given was not pushed."""
        chunker = self.chunker
        had_chunk = chunker.pending_bytes >= chunker.size_bytes
        chunker.push(pcm)
        self.pushed += len(pcm)
        if left_out:
            self._cut_until = self.pushed
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
        begin = self.push_began
        if self.kept and self.kept[-1][1] >= begin:
            begin = self.kept.pop()[0]
        if begin < self.pushed:
            self.kept.append((begin, self.pushed))

    def is_kept(self, begin: int, end: int) -> bool:
        """Whether any of the audio at these places is."""
        return any(kept_begin < end and begin < kept_end for kept_begin, kept_end in self.kept)

    @property
    def is_amid_kept(self) -> bool:
        """Whether some of it was taken, and more of it is next."""
        return any(begin < self.taken < end for begin, end in self.kept)

    @property
    def ends_kept(self) -> bool:
        """Whether what was pushed last is, so that more may be coming of it."""
        return bool(self.kept) and self.kept[-1][1] == self.pushed

    def mark(self, messages: Sequence[Message], *, ends_utterance: bool, is_kept: bool = False, kind: str = "") -> None:
        self.marks.append(Mark(self.pushed, messages, ends_utterance, is_kept, kind=kind))
        self.message_bytes += sum(map(getsizeof, messages))

    def hold(self, reached: Callable[[], None], dropped: Callable[[], None], holds_bytes: int) -> None:
        """Have ``reached`` called when the turn of this place has come, or ``dropped`` at an interruption before."""
        self.marks.append(Mark(self.pushed, (), False, reached=reached, dropped=dropped, holds_bytes=holds_bytes))

    @property
    def held_bytes(self) -> int:
        """The memory that waits for its turn."""
        return sum(mark.holds_bytes for mark in self.marks)

    # Emptying

    # What is popped from the chunker is told by ``take`` or ``skip``.

    def take(self, pcm: bytes) -> None:
        """A chunk leaves the queue for the wire."""
        if self._gaps:
            self._pass(len(pcm))
        else:
            self.taken += len(pcm)
        self.available_at_s = -inf

    def skip(self, pcm: bytes) -> None:
        """A chunk leaves the queue for nowhere: the promises about it are broken, and no others."""
        before = self.taken
        self._pass(len(pcm))
        for receipt in [r for r in self._receipts if r.end > before and r.begin < self.taken]:
            self._receipts.remove(receipt)
            receipt.settle(False)

    def take_mark(self) -> Mark:
        """The first mark's turn has come."""
        mark = self.marks.popleft()
        self.message_bytes -= sum(map(getsizeof, mark.messages))
        return mark

    def drop(self) -> float:
        """Drop all audio; return how long it was."""
        dropped_s = self.queued_s
        self.chunker.clear()
        self.taken = self.pushed
        self.available_at_s = -inf
        self.settle(self.pushed, delivered=False)
        return dropped_s

    def drop_oldest(self, duration_s: float) -> float:
        """Drop whole chunks from the head until the queue is that much shorter; return by how much it is."""
        dropped_s = 0.0
        while dropped_s < duration_s and (pcm := self.chunker.pop()) is not None:
            self.skip(pcm)
            dropped_s += self.chunk_s
        return dropped_s

    def _pass(self, size_bytes: int) -> None:
        self.taken += size_bytes
        while self._gaps and self.taken >= self._gaps[0][0]:
            begin, end = self._gaps.popleft()
            self.taken += end - begin

    # Interrupting; rule 3

    def drop_marks(self) -> list[Mark]:
        """Drop all marks but those that are kept; return what was dropped."""
        kept = [mark for mark in self.marks if mark.is_kept]
        dropped = [mark for mark in self.marks if not mark.is_kept]
        self.marks.clear()
        self.marks.extend(kept)
        self.message_bytes = sum(getsizeof(message) for mark in kept for message in mark.messages)
        return dropped

    def interrupt(self) -> float:
        """Drop all audio but what is kept; return how long it was."""
        if not self.is_kept(self.written, self.pushed):
            self.kept.clear()
            self._gaps.clear()
            return self.drop()
        before_s, kept = self.queued_s, self._what_is_kept()
        self.chunker.clear()
        for _, _, pcm in kept:
            self.chunker.push(pcm)
        self.taken = kept[0][0] if kept else self.pushed
        nexts = [*(begin for begin, _, _ in kept[1:]), self.pushed]
        self._gaps = deque((end, begin) for (_, end, _), begin in zip(kept, nexts, strict=False) if end < begin)
        for receipt in [each for each in self._receipts if not self._is_whole(each)]:
            self._receipts.remove(receipt)
            receipt.settle(False)
        return before_s - self.queued_s

    def _what_is_kept(self) -> list[tuple[int, int, bytes]]:
        """From where to where something stays, and what."""
        found, at, place = [], 0, self.taken
        data = self.chunker.drain()
        for gap_begin, gap_end in (*self._gaps, (self.pushed, self.pushed)):
            for kept_begin, kept_end in self.kept:
                begin, end = max(place, kept_begin), min(gap_begin, kept_end)
                if begin < end:
                    found.append((begin, end, data[at + begin - place : at + end - place]))
            at, place = at + gap_begin - place, gap_end
        return found

    def _is_whole(self, receipt: Receipt) -> bool:
        begin = max(receipt.begin, self.written)
        return any(kept_begin <= begin and receipt.end <= kept_end for kept_begin, kept_end in self.kept)

    # Promises

    def promise(self, settle: Callable[[bool], None]) -> None:
        """Have ``settle`` called once what was pushed last was written (True) or dropped (False)."""
        if self._cut_until == self.pushed:
            settle(False)
        elif self.written >= self.pushed or (self.push_began == self.pushed and not self.chunker.pending_bytes):
            settle(True)
        else:
            self._receipts.append(Receipt(self.push_began, self.pushed, settle))

    def wrote(self, place: int) -> None:
        """All audio before this place is on the wire."""
        if place > self.written:
            self.written = place
            while self.kept and self.kept[0][1] <= place:
                self.kept.popleft()
            if self._receipts:
                self.settle(place, delivered=True)

    def settle(self, place: int, *, delivered: bool) -> None:
        """Keep or break all promises up to this place."""
        self.written = max(self.written, place)
        while self._receipts and self._receipts[0].end <= place:
            self._receipts.popleft().settle(delivered)
