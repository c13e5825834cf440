"""How long a gap is not believed: what seems to be missing may have come already, and wait to be read.

Rules
1. What came before a gap's time has been read once the loop has gone round since: from the socket to the handler and
   back it takes a few turns, which cost nothing where nothing waits. So the first chunk that is missing is waited for
   ``TURNS`` turns, however early or late the gap was seen. The end of a standstill can coincide with any moment.
2. The next of the same gap was seen in time if the loop slept until then, so that nothing waited. Seen later than
   ``LATE_S`` it has its turns too, if the one before was seen in time: where one after the other is late, the loop is
   busy and not at a standstill. It reads as it goes, and what waited for turns each time would be ever later.
3. Where this side stood still for long, more may wait than a turn reads: reading goes on for ``READING_S`` before
   anything is filled, and again for as long as the machine is behind.
4. Turns and time together are waited for ``at_most_s``: so much delay a burst can take back, and no more.
"""

from math import inf
from typing import Final, final

from attrs import define, field

TURNS: Final = 12
LATE_S: Final = 0.002
LONG_S: Final = 0.02
READING_S: Final = 0.02


@final
@define(eq=False)
class GapPatience:
    """Owned by one track."""

    at_most_s: float
    _due_s: float = field(default=-inf, init=False)
    """Of the gap that is waited for."""
    _seen_s: float = field(default=-inf, init=False)
    _was_late: bool = field(default=False, init=False)
    _until_turn: int = field(default=0, init=False)
    _read_by_s: float = field(default=-inf, init=False)

    def again_s(self, due_s: float, now_s: float, turn: int, *, is_first: bool) -> float | None:
        """When to look again at what was due at ``due_s``: now means in the next turn. None: it is missing."""
        if due_s != self._due_s:
            self._due_s, self._seen_s = due_s, now_s
            is_late = now_s - due_s > LATE_S
            self._until_turn = turn + TURNS if is_first or (is_late and not self._was_late) else turn
            self._was_late = is_late
        if now_s - self._seen_s >= self.at_most_s:
            return None
        if turn < self._until_turn:
            return now_s
        return self._reads_on_until_s(due_s, now_s)

    def _reads_on_until_s(self, due_s: float, now_s: float) -> float | None:
        """Rule 3."""
        if now_s < self._read_by_s:
            return self._read_by_s
        if now_s - max(due_s, self._read_by_s) <= LONG_S or now_s - due_s >= self.at_most_s:
            return None
        self._read_by_s = min(now_s + READING_S, due_s + self.at_most_s)
        return self._read_by_s
