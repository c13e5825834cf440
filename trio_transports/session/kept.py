"""What of one destination's audio is to be said to its end (``interruptible=False``).

Rules
1. It is kept when an interruption drops the rest. It stays at its places: those in between, where nothing is left, are
   gaps, and passed over as soon as all before them was taken.
2. While the peer hears it, the peer is not told of an interruption: it would drop that, too.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf
from typing import final

from attrs import define, field


@final
@define(eq=False)
class Kept:
    """Owned by one queue."""

    spans: list[tuple[int, int]] = field(factory=list, init=False)
    """From where to where it is, until it is written."""
    gaps: list[tuple[int, int]] = field(factory=list, init=False)
    """From where to where nothing is left, though something after it is."""
    plays_until_s: float = field(default=-inf, init=False)
    """When the last of it that has left will have been played; rule 2."""

    def add(self, begin: int, end: int) -> None:
        """Keep what is between these places, behind all that is kept already."""
        if self.spans and self.spans[-1][1] >= begin:
            begin = self.spans.pop()[0]
        if begin < end:
            self.spans.append((begin, end))

    def touches(self, begin: int, end: int) -> bool:
        """Whether any of the audio between these places is."""
        return any(kept_begin < end and begin < kept_end for kept_begin, kept_end in self.spans)

    def covers(self, begin: int, end: int) -> bool:
        """Whether all of it is."""
        return any(kept_begin <= begin and end <= kept_end for kept_begin, kept_end in self.spans)

    def is_amid(self, place: int) -> bool:
        """Whether some of it is before this place, and more of it next."""
        return any(begin < place < end for begin, end in self.spans)

    def ends_at(self, place: int) -> bool:
        return bool(self.spans) and self.spans[-1][1] == place

    def wrote(self, place: int) -> None:
        """All before this place is on the wire."""
        while self.spans and self.spans[0][1] <= place:
            del self.spans[0]

    def passed(self, place: int) -> int:
        """All before this place was taken; return the place of what is next."""
        while self.gaps and place >= self.gaps[0][0]:
            begin, end = self.gaps.pop(0)
            place += end - begin
        return place

    def what_stays(self, place: int, pushed: int) -> Iterator[tuple[int, int, int]]:
        """What of the queue between these places stays: from where to where, and at which of its bytes that begins."""
        at = 0
        for gap_begin, gap_end in (*self.gaps, (pushed, pushed)):
            for kept_begin, kept_end in self.spans:
                begin, end = max(place, kept_begin), min(gap_begin, kept_end)
                if begin < end:
                    yield begin, end, at + begin - place
            at, place = at + gap_begin - place, gap_end

    def leave_only(self, spans: Sequence[tuple[int, int]], pushed: int) -> None:
        """Nothing is left of the queue but this."""
        edges = pairwise((*spans, (pushed, pushed)))
        self.gaps = [(end, begin) for (_, end), (begin, _) in edges if end < begin]

    def clear(self) -> None:
        self.spans.clear()
        self.gaps.clear()
