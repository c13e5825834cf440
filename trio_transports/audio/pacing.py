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
6. What one late chunk of a live source added to the delay (rule 4, up to ``catch_up_s``; more than that was a pause) is
   taken back when the source is on time again: after ``WINDOW_S`` of audio that took about as long to come, and all of
   which came more than ``EARLY_S`` before its time, the anchor moves back by the least of that. So a stall does not
   delay the rest of the call, and audio that was queued ahead keeps its exact times.
"""

from math import inf
from typing import Final, final

from attrs import define, field

EARLY_S: Final = 0.005
WINDOW_S: Final = 0.2


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
    owed_s: float = field(default=0.0, init=False)
    """Delay that late chunks have added and that was not taken back yet."""
    _heard_s: float = field(default=0.0, init=False)
    _heard_since_s: float = field(default=0.0, init=False)
    _least_early_s: float = field(default=inf, init=False)

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
            late_s = available_at_s - plays_at_s
            self.owed_s = self.owed_s + late_s if late_s <= self.catch_up_s else 0.0
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

    def advance(self, samples: int) -> None:
        self._position += samples

    def heard(self, samples: int, queued_samples: int, now_s: float) -> None:
        """Look how early samples came, behind those queued already; rule 6. Of use while something is owed."""
        if self._anchor_s is None:
            return
        early_s = self._anchor_s + (self._position + queued_samples) / self.sample_rate - now_s
        if not self._heard_s:
            self._heard_since_s, self._least_early_s = now_s, inf
        self._heard_s += samples / self.sample_rate
        self._least_early_s = min(self._least_early_s, early_s)
        if self._heard_s < WINDOW_S:
            return
        is_live = now_s - self._heard_since_s > 0.8 * (self._heard_s - samples / self.sample_rate)
        back_s = min(self._least_early_s, self.owed_s)
        if is_live and back_s > EARLY_S:
            self._anchor_s -= back_s
            self.owed_s -= back_s
        self._heard_s = 0.0

    def restart(self, now_s: float) -> None:
        """Set the anchor: the next sample is heard at ``now_s``."""
        self._anchor_s = now_s
        self._position = 0

    def forget(self) -> None:
        self._anchor_s = None
        self._position = 0
        self.owed_s = self._heard_s = 0.0
