"""The way back from a stall: how much later than it could be a live source is played, and what takes that back.

Rules
1. Delay comes from what was missing in time. ``owed_s`` is delay during which nothing was sent, up to ``catch_up_s``:
   audio sent in a burst takes it back. ``missed_s`` is delay during which silence was sent instead, or that is too long
   for a burst: as much audio has to be left out, or the peer plays everything later until the call ends.
2. A gap after which something is missed is a live source's: it ran dry right after the last of it had come. Audio that
   was queued ahead and has been spoken leaves a pause, and a pause is no delay.
3. The source is judged in windows of ``WINDOW_S`` of audio, which begin anew after each gap, each burst and each cut.
   Where they took about as long to come, it is live. The least time that a chunk of the window came before its own is
   what can be taken back.
4. A live source that is back where it was before the gaps, to ``MATCH_S``, has given all that was missing: the delay is
   cut out within ``SPREAD_S`` of audio, silence first. Where some never came, only silence is cut. A source that runs
   ahead is not live: nothing is missed.
5. A delay of up to ``EARLY_S`` is none.
"""

from math import ceil, inf
from typing import Final, final

from attrs import define, field

EARLY_S: Final = 0.005
WINDOW_S: Final = 0.2
MATCH_S: Final = 0.04
SPREAD_S: Final = 0.5
MAX_STALL_S: Final = 10.0
"""Longer than this nobody waits for a stalled source: what comes then begins anew."""

_BURST_S: Final = 0.06
_GAP_S: Final = 0.15
_LIVE_PACE: Final = 0.8
_GIVE_UP_S: Final = 3.0


@final
@define(eq=False)
class Recovery:
    """Owned by one schedule, which asks it only while something is owed or missed."""

    catch_up_s: float
    owed_s: float = field(default=0.0, init=False)
    missed_s: float = field(default=0.0, init=False)
    cut_s: float = field(default=0.0, init=False)
    """How much of what is missed is to be cut out now."""
    _cut_share: float = field(default=0.0, init=False)
    """The share of audio that is not silence that may go; 0: none."""
    _gap_is_live: bool = field(default=False, init=False)
    _last_before_gap_s: float = field(default=-inf, init=False)
    _since_s: float = field(default=-inf, init=False)
    _heard_s: float = field(default=0.0, init=False)
    _least_early_s: float = field(default=inf, init=False)
    _unmatched_s: float = field(default=0.0, init=False)

    @property
    def cuts_speech(self) -> bool:
        return self._cut_share > 0

    def forget(self) -> None:
        """Nothing is late any more: what was queued has gone."""
        self.owed_s = self.missed_s = 0.0
        self._stop_cutting()
        self._gap_is_live = False
        self._since_s = -inf

    # Where delay comes from

    def ran_dry(self, last_came_s: float, dry_at_s: float, chunk_s: float) -> None:
        """Judge a gap, once: the last audio before it came then, and had been played at ``dry_at_s``; rule 2."""
        if last_came_s != self._last_before_gap_s:
            self._last_before_gap_s = last_came_s
            delay_s = self.owed_s + self.missed_s
            self._gap_is_live = dry_at_s - last_came_s <= chunk_s + delay_s + MATCH_S

    def late(self, late_s: float) -> None:
        """Note that nothing was sent for so long because nothing was there."""
        if late_s <= self.catch_up_s:
            self.owed_s += late_s
        elif self._gap_is_live and late_s <= MAX_STALL_S:
            self.owed_s += self.catch_up_s
            self.missed_s += late_s - self.catch_up_s
        else:
            self.forget()
            return
        excess_s = self.owed_s - self.catch_up_s
        if excess_s > 0:
            self.owed_s = self.catch_up_s
            if self._gap_is_live:
                self.missed_s += excess_s

    def filled(self, silence_s: float) -> None:
        """Note that silence was sent in the place of audio that was not there."""
        if self._gap_is_live:
            self.missed_s += silence_s
            if self.missed_s > MAX_STALL_S:
                self.forget()

    # What takes it back

    def hear(self, duration_s: float, early_s: float, now_s: float) -> float:
        """Note that audio came, ``early_s`` before its time; return by how much all is to leave earlier from now on."""
        behind_s = now_s - self._since_s - self._heard_s - duration_s
        if not -_BURST_S <= behind_s <= _GAP_S or self._cut_share:
            self._begin_window(now_s)
            return 0.0
        self._heard_s += duration_s
        self._least_early_s = min(self._least_early_s, early_s)
        if self._heard_s < WINDOW_S:
            return 0.0
        back_s = 0.0
        if now_s - self._since_s > _LIVE_PACE * self._heard_s and self._least_early_s < inf:
            back_s = self._judge(self._least_early_s)
        self._begin_window(now_s)
        return back_s

    def _begin_window(self, now_s: float) -> None:
        self._since_s, self._heard_s, self._least_early_s = now_s, 0.0, inf

    def _judge(self, early_s: float) -> float:
        """Rules 3 and 4, for a window of live audio."""
        ahead_s = early_s - self.owed_s - self.missed_s
        back_s = min(early_s, self.owed_s)
        if back_s > EARLY_S:
            self.owed_s -= back_s
        else:
            back_s = 0.0
        if self.missed_s:
            self._judge_missed(early_s - back_s, ahead_s)
        return back_s

    def _judge_missed(self, early_s: float, ahead_s: float) -> None:
        if ahead_s > MATCH_S:
            self.missed_s = 0.0
            self._stop_cutting()
        elif ahead_s >= -MATCH_S:
            self._unmatched_s = 0.0
            self.cut_s = early_s
            self._cut_share = min(1.0, self.cut_s / SPREAD_S)
        else:
            self._cut_share, self.cut_s = 0.0, min(max(early_s, 0.0), self.missed_s)
            self._unmatched_s += self._heard_s
            if self._unmatched_s > _GIVE_UP_S:
                self.missed_s = 0.0
        if self.cut_s <= EARLY_S:
            if ahead_s >= -MATCH_S:
                self.missed_s = 0.0
            self._stop_cutting()

    def samples_to_cut(self, samples: int, sample_rate: int, *, quiet: bool) -> int:
        """How many of the next samples to leave out. What is left out is to be told with ``was_cut``."""
        wanted = ceil(self.cut_s * sample_rate)
        return min(wanted, samples if quiet else ceil(samples * self._cut_share))

    def was_cut(self, duration_s: float) -> None:
        self.cut_s = max(0.0, self.cut_s - duration_s)
        self.missed_s = max(0.0, self.missed_s - duration_s)
        if not self.cut_s:
            self._stop_cutting()

    def _stop_cutting(self) -> None:
        self.cut_s = self._cut_share = self._unmatched_s = 0.0
