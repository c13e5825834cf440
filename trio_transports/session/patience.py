"""How long a gap is waited out when it was seen late: what is missing may wait to be read.

Rules
1. Whoever sees a gap in time has had his turns to read, and fills it at once.
2. Where this side itself stood still, the missing audio may have come meanwhile: reading goes before filling, for
   ``TURNS_S``, and again for as long as the machine is behind.
3. After ``at_most_s`` nothing is waited for: so much delay a burst can take back, and no more.
"""

from math import inf
from typing import Final, final

from attrs import define, field

LATE_S: Final = 0.02
TURNS_S: Final = 0.02


@final
@define(eq=False)
class Patience:
    """Owned by one track."""

    at_most_s: float
    _read_by_s: float = field(default=-inf, init=False)

    def until_s(self, due_s: float, now_s: float) -> float:
        """When to do what was due at ``due_s``, in the past: now, or when what waits has been read."""
        if now_s < self._read_by_s:
            return self._read_by_s
        if now_s - max(due_s, self._read_by_s) <= LATE_S or now_s - due_s >= self.at_most_s:
            return now_s
        self._read_by_s = min(now_s + TURNS_S, due_s + self.at_most_s)
        return self._read_by_s
