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
5. A cut ends where chunks end together with what the source gives. One sample further, each chunk would wait for the
   next that the source gives: as much delay as that is long, until the call ends. What cannot be cut for that is taken
   back by a burst, as far as something is owed.
6. A delay of up to ``EARLY_S`` is none.
"""

from math import ceil, floor, gcd, inf
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
_LEAST_SHARE: Final = 0.1
"""Of little, a few pieces are left out soon, and not a trace of everything for long."""
_LEAST_S: Final = 1e-6
"""Less than a sample: what differences of times leave over."""


@final
@define(eq=False)
class Window:
    """How the source came for a while; rule 3."""

    began_s: float = -inf
    heard_s: float = 0.0
    least_early_s: float = inf
    step: int = 0
    """Of how many samples both the chunks and what came are multiples."""


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
    _window: Window = field(factory=Window, init=False)
    _unmatched_s: float = field(default=0.0, init=False)

    @property
    def cuts_speech(self) -> bool:
        return self._cut_share > 0

    def forget(self) -> None:
        """Nothing is late any more: what was queued has gone."""
        self.owed_s = self.missed_s = 0.0
        self._stop_cutting()
        self._gap_is_live = False
        self._window = Window()

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

    def hear(
        self, samples: int, queued: int, early_s: float, now_s: float, *, chunk_samples: int, sample_rate: int
    ) -> float:
        """Note that audio came behind what is queued, and completed a chunk ``early_s`` before its time.

        Returned is by how much all is to leave earlier from now on.
        """
        window, duration_s = self._window, samples / sample_rate
        behind_s = now_s - window.began_s - window.heard_s - duration_s
        if not -_BURST_S <= behind_s <= _GAP_S or self._cut_share:
            self._window = Window(now_s)
            return 0.0
        window.heard_s += duration_s
        window.step = gcd(window.step or chunk_samples, samples)
        if early_s < window.least_early_s:
            window.least_early_s = early_s
        if window.heard_s < WINDOW_S:
            return 0.0
        back_s = 0.0
        if now_s - window.began_s > _LIVE_PACE * window.heard_s and window.least_early_s < inf:
            rest_s = (queued + samples) % window.step / sample_rate
            back_s = self._judge(window.least_early_s, rest_s, window.step / sample_rate)
        self._window = Window(now_s)
        return back_s

    def _judge(self, early_s: float, rest_s: float, step_s: float) -> float:
        """Rules 3 to 5, for a window of live audio. ``rest_s``: how far its last went past a place to cut to."""
        ahead_s = early_s - self.owed_s - self.missed_s
        kept_s = 0.0
        if self.missed_s:
            kept_s = self._judge_missed(early_s, ahead_s, rest_s, step_s)
        back_s = min(early_s - kept_s, self.owed_s)
        if back_s <= EARLY_S:
            return 0.0
        self.owed_s -= back_s
        return back_s

    def _judge_missed(self, early_s: float, ahead_s: float, rest_s: float, step_s: float) -> float:
        """Return by how much less early all is once the cut is done."""
        wanted_s = max(0.0, early_s - self.owed_s)
        if ahead_s > MATCH_S:
            self.missed_s = 0.0
            self._stop_cutting()
            return 0.0
        # Rule 5: the nearest place to cut to, though not for much more than is missed.
        steps = floor(min(wanted_s, self.missed_s + MATCH_S - rest_s) / step_s + 0.5)
        self.cut_s = rest_s + steps * step_s if steps >= 0 else 0.0
        if ahead_s >= -MATCH_S:
            self._cut_share = min(1.0, max(_LEAST_SHARE, self.cut_s / SPREAD_S))
        else:
            self._cut_share = 0.0
            self._unmatched_s += WINDOW_S
            if self._unmatched_s > _GIVE_UP_S:
                self.missed_s = 0.0
        if self.cut_s <= EARLY_S:
            if ahead_s >= -MATCH_S:
                self.missed_s = 0.0
            self._stop_cutting()
        return max(0, steps) * step_s if self.cut_s else 0.0

    def samples_to_cut(self, samples: int, sample_rate: int, *, quiet: bool) -> int:
        """How many of the next samples to leave out. What is left out is to be told with ``was_cut``."""
        wanted = round(self.cut_s * sample_rate)
        return min(wanted, samples if quiet else ceil(samples * self._cut_share))

    def was_cut(self, duration_s: float) -> None:
        self.cut_s = max(0.0, self.cut_s - duration_s)
        self.missed_s = max(0.0, self.missed_s - duration_s)
        if self.cut_s < _LEAST_S:
            self._stop_cutting()

    def _stop_cutting(self) -> None:
        self.cut_s = self._cut_share = self._unmatched_s = 0.0
