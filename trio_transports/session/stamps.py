"""The times that outbound audio was given, ``pts``: a chunk keeps its own, where the dialect can write it.

Rules
1. A chunk's is the time of its first sample: of the frame that this sample came in, and as much later as it stands
   behind that frame's beginning. A chunk that is a whole frame has just that frame's.
2. Audio that was converted, filtered or shortened is not the sender's samples any more, and has no time; nor has what
   was sent without, nor silence.
"""

from typing import Final, final

from attrs import define, field

_NS: Final = 1_000_000_000
_LAST: Final = (1 << 63) - 1
"""The latest that every dialect can write, with some to spare for what is counted on. No time is worth a session."""


@final
@define(eq=False)
class Stamps:
    """Owned by one track. Places are the queue's: bytes since the session's start."""

    _bytes_per_second: int
    _known: list[tuple[int, int, int]] = field(factory=list, init=False)
    """From where to where a frame's audio stands, and its ``pts``."""

    def put(self, begin: int, end: int, pts: int, taken: int) -> None:
        """Audio of this ``pts`` was queued; what stands before ``taken`` has left or gone."""
        self._forget(taken)
        if 0 <= pts <= _LAST:
            self._known.append((begin, end, pts))

    def at(self, place: int) -> int | None:
        """The time of the sample at this place. Earlier ones are asked for no more."""
        if not self._known:
            return None
        self._forget(place)
        if not self._known or self._known[0][0] > place:
            return None
        begin, _, pts = self._known[0]
        return pts + (place - begin) * _NS // self._bytes_per_second

    def _forget(self, place: int) -> None:
        gone = 0
        while gone < len(self._known) and self._known[gone][1] <= place:
            gone += 1
        del self._known[:gone]
