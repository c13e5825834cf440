"""What takes the place of audio that is not there: when a partial chunk is completed, and when silence is sent.

Rules
1. A partial chunk is completed ``partial_flush_s`` after the last audio came; or with the gap behind it, if that is
   filled earlier.
2. A gap longer than ``silence_grace_s`` is filled with silence on the schedule, for at most ``silence_max_s`` in a row.
   With a mixer there is no grace and no end: its bed goes on.
3. Once nothing more will be queued, no gap is filled, and a partial chunk waits for nothing.
4. Nothing is taken for missing before what waits to be read has been: see ``session.patience``.
"""

from math import inf
from typing import final

from attrs import define, field

from ..audio.pacing import Schedule
from .patience import GapPatience
from .settings import TrackSettings


@final
@define(eq=False)
class Gap:
    """Owned by one track."""

    settings: TrackSettings
    _schedule: Schedule
    _has_bed: bool
    is_last: bool = field(default=False, init=False)
    """Nothing more will be queued; rule 3."""
    filled_s: float = field(default=0.0, init=False)
    """How much silence was sent in a row."""
    _patience: GapPatience = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._patience = GapPatience(self._schedule.catch_up_s)

    @property
    def is_over_long(self) -> bool:
        """Whether so much silence was sent in a row that no more will be."""
        return self.filled_s >= self.settings.silence_max_s

    def again_s(self, gap_at_s: float, now_s: float, turn: int) -> float | None:
        """When to look again at a gap that has begun; None: now; rule 4."""
        if self.is_last:
            return None
        return self._patience.again_s(gap_at_s, now_s, turn, is_first=not self.filled_s)

    def flush_at_s(self, pushed_at_s: float) -> float:
        """When a partial chunk is completed, whose last audio came then; rule 1."""
        if self.is_last:
            return -inf
        flush_at_s = pushed_at_s + self.settings.partial_flush_s
        if not self._has_bed and self._is_filled:
            return min(flush_at_s, self._silence_at_s)
        return flush_at_s

    def fill_at_s(self) -> float:
        """When silence (or the mixer's bed alone) takes the place of missing audio; rule 2."""
        if self.is_last:
            return inf
        if self._has_bed:
            return self._schedule.plays_at_s - self._schedule.lead_s if self._schedule.is_running else -inf
        return self._silence_at_s if self._is_filled else inf

    @property
    def _is_filled(self) -> bool:
        return self.settings.auto_silence and self._schedule.is_running

    @property
    def _silence_at_s(self) -> float:
        """After the grace, then chunk by chunk, without a lead, which silence does not need."""
        return self._schedule.plays_at_s + (0.0 if self.filled_s else self.settings.silence_grace_s)
