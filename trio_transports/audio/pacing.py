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
   Where many sessions are played to at a time they share their wakes within this: ``wakes_at`` gives an earlier time
   that is the others' too.
6. What a late source added to the delay (rule 4, and the silence that filled its gaps) is taken back when it is on time
   again: see ``audio.recovery``. So a stall does not delay the rest of the call, and audio that was queued ahead keeps
   its exact times.
"""

from collections.abc import Callable
from math import inf
from typing import final

from attrs import define, field

from .._documented import documented
from .recovery import EARLY_S, Recovery

__all__ = ["Schedule"]


@documented
@final
@define(eq=False)
class Schedule:
    """One track's time. A *sample* is one instant, however many channels it has."""

    sample_rate: int
    """Samples per second, in Hz."""
    lead_s: float = 0.0
    """How many seconds ahead of its time audio may leave."""
    catch_up_s: float = 0.4
    """How many seconds of late audio may leave in one burst."""
    wakes_at: Callable[[float], float] | None = field(default=None, init=False)
    """When to wake for what is due at a time: then, or up to ``EARLY_S`` before, together with others."""
    late_resets: int = field(default=0, init=False)
    """How often the schedule had to be given up for a later one."""
    _anchor_s: float | None = field(default=None, init=False)
    _position: int = field(default=0, init=False)
    _parked_at_s: float | None = field(default=None, init=False)
    """When the next sample would have been heard, had nobody given up waiting for it."""
    recovery: Recovery = field(init=False)
    """What takes back the delay that a stall of the source has added."""

    def __attrs_post_init__(self) -> None:
        self.recovery = Recovery(self.catch_up_s)

    @property
    def is_running(self) -> bool:
        """Whether there is a schedule now: it begins with the first audio."""
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
            if self._parked_at_s is not None:
                self.recovery.late(now_s - self._parked_at_s)
            self.restart(now_s)
            return now_s
        plays_at_s = anchor_s + self._position / self.sample_rate
        if available_at_s > plays_at_s:  # rule 4
            self.recovery.late(available_at_s - plays_at_s)
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

    def wake_s(self, due_s: float) -> float:
        """When to wake for what is due at ``due_s``; rule 5."""
        return due_s if self.wakes_at is None else self.wakes_at(due_s)

    def advance(self, samples: int) -> None:
        """Say that so many samples have left."""
        self._position += samples

    def ran_dry(self, last_came_s: float, chunk_samples: int) -> None:
        """Note that all was played that had come; the last of it came then."""
        if self._anchor_s is not None:
            self.recovery.ran_dry(last_came_s, self.plays_at_s, chunk_samples / self.sample_rate)

    def fill_from(self, now_s: float) -> None:
        """Note that nothing was heard until now, when silence begins to take the place of what is missing."""
        self.recovery.late(now_s - self.plays_at_s)
        self.restart(now_s)

    def heard(self, samples: int, queued_samples: int, chunk_samples: int, now_s: float) -> None:
        """Look how early samples came, behind those queued already; rule 6. Of use while something is owed."""
        if self._anchor_s is None:
            return
        whole = queued_samples // chunk_samples
        early_s = inf
        if (queued_samples + samples) // chunk_samples > whole:
            early_s = self._anchor_s + (self._position + whole * chunk_samples) / self.sample_rate - now_s
        self._anchor_s -= self.recovery.hear(
            samples, queued_samples, early_s, now_s, chunk_samples=chunk_samples, sample_rate=self.sample_rate
        )

    def restart(self, now_s: float) -> None:
        """Set the anchor: the next sample is heard at ``now_s``."""
        self._anchor_s = now_s
        self._position = 0
        self._parked_at_s = None

    def park(self) -> None:
        """Wait no longer for the next audio: it leaves at once, whenever it comes."""
        self._parked_at_s = self.plays_at_s
        self._anchor_s = None
        self._position = 0

    def forget(self) -> None:
        """Forget the schedule: the next audio leaves at once and begins a new one."""
        self._anchor_s = self._parked_at_s = None
        self._position = 0
        self.recovery.forget()
