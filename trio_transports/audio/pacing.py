"""The arithmetic of the audio schedule: when the next samples are due, driven by times it is given.

Rules
1. Samples are due at ``anchor + position / rate``, computed from the sample count and never summed up, so nothing
   drifts. They may leave ``lead_s`` earlier.
2. Without an anchor (at the start, after ``forget``) audio leaves at once and sets the anchor.
3. Late because of this side: audio leaves without delay until it is back on schedule. At most ``catch_up_s`` of it may
   leave in such a burst; the anchor moves by what is past that, and ``late_resets`` counts it.
4. Late because there was nothing to send: the anchor moves to when audio was there again. No burst follows.
5. Audio at most ``EARLY_S`` before its time may leave: waking up for so little costs more than it gives. The schedule
   itself stays, so this never adds up.
6. A live source, one chunk at a time, is held back only as long as its recent jitter asks: when all of the last
   ``WINDOW`` chunks came more than ``EARLY_S`` too early, the anchor moves back by the least of that. So one late chunk
   does not delay the rest of the call.
"""

from math import inf
from typing import Final, final

from attrs import define, field

EARLY_S: Final = 0.005
WINDOW: Final = 10


@final
@define(eq=False)
class Schedule:
    """One track's time. A *sample* is one instant, however many channels it has."""

    sample_rate: int
    lead_s: float = 0.0
    catch_up_s: float = 0.4
    late_resets: int = field(default=0, init=False)
    _anchor_s: float | None = field(default=None, init=False)
    _position: int = field(default=0, init=False)
    _least_early_s: float = field(default=inf, init=False)
    _live_chunks: int = field(default=0, init=False)

    @property
    def is_running(self) -> bool:
        return self._anchor_s is not None

    @property
    def plays_at_s(self) -> float:
        """When the next sample is heard if it is in time: the schedule without the lead."""
        if self._anchor_s is None:
            raise ValueError("a schedule without an anchor has no times: call due_s or restart first")
        return self._anchor_s + self._position / self.sample_rate

    def due_s(self, available_at_s: float, now_s: float) -> float:
        """When the next samples may leave: maybe in the past. ``available_at_s`` is when they came to be there."""
        anchor_s = self._anchor_s
        if anchor_s is None:  # rule 2
            self.restart(now_s)
            return now_s
        plays_at_s = anchor_s + self._position / self.sample_rate
        if available_at_s > plays_at_s:  # rule 4
            self.restart(available_at_s)
            plays_at_s = available_at_s
        late_s = now_s - plays_at_s
        if late_s > self.catch_up_s:  # rule 3
            self.restart(now_s - self.catch_up_s)
            self.late_resets += 1
            plays_at_s = now_s - self.catch_up_s
        return plays_at_s - self.lead_s

    def is_early(self, due_s: float, now_s: float) -> bool:
        """Whether it is worth waiting until ``due_s``; rule 5."""
        return due_s > now_s + EARLY_S

    def advance(self, samples: int, available_at_s: float = -inf) -> None:
        """Count samples as sent; ``available_at_s`` is when a live source gave them, ``-inf`` if they were queued."""
        if available_at_s == -inf:
            self._live_chunks = 0
        elif self._anchor_s is not None:
            self._follow(self._anchor_s + self._position / self.sample_rate - self.lead_s - available_at_s)
        self._position += samples

    def _follow(self, early_s: float) -> None:
        if not self._live_chunks:
            self._least_early_s = inf
        self._live_chunks += 1
        self._least_early_s = min(self._least_early_s, early_s)
        if self._live_chunks >= WINDOW:
            if self._least_early_s > EARLY_S and self._anchor_s is not None:
                self._anchor_s -= self._least_early_s
            self._live_chunks = 0

    def restart(self, now_s: float) -> None:
        """Set the anchor: the next sample is heard at ``now_s``."""
        self._anchor_s = now_s
        self._position = 0

    def forget(self) -> None:
        self._anchor_s = None
        self._position = 0
