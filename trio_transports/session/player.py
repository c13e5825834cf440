"""How far the peer's player is: a clock of the audio that was sent, set by the marks that come back.

Rules
1. The peer plays what it gets in real time, one piece after the other; what comes ahead is queued there. So at any
   moment all has been played but what its queue still holds. Times are on the line's timeline: seconds of audio sent,
   filled silence included.
2. Where nothing is playing, the peer may begin later than it gets the audio (its jitter buffer). By how much is known
   only from marks: each comes back when the peer has played what was sent before it, so it comes later than by rule 1
   by the way there and back, and by that delay. What is learned corrects the run that is playing, too.
3. A mark in front of everything comes back by the way alone, which is how that is known. The least of what several
   marks say is believed, since what is late is late by chance: of the way over the whole call, of the delay over the
   last few.
4. What a mark confirms was played, whatever the clock says.
5. Until anything is known of the delay there is a mark behind every piece, ``MOST_FIRST_MARKS`` at most, and no more
   counts as played than up to the first that should have come back by now, if the peer buffered nothing, and has not.
   A peer that takes longer than any buffer holds, or never told one, is not waited for.
"""

from math import inf
from typing import Final, final

from attrs import define, field

MARK_EVERY_S: Final = 0.5
"""How much audio lies between two marks."""
MOST_FIRST_MARKS: Final = 50
"""How many marks are asked for to learn the delay: some peers answer none."""
LAST_MARKS: Final = 8
SURELY_IDLE_S: Final = 0.5
"""More than a peer's jitter buffer that is not known yet."""
MAX_WAITING: Final = 256


@final
@define(eq=False)
class Player:
    """Driven by the times it is given."""

    sent_s: float = field(default=0.0, init=False)
    """How much audio was ever sent."""
    delay_s: float = field(default=0.0, init=False)
    """By how much the peer begins later than it gets; rule 2."""
    _plays_until: float = field(default=-inf, init=False)
    """When all that was sent will have been played, the delay of this run included."""
    _run_delay_s: float = field(default=0.0, init=False)
    _confirmed_s: float = field(default=0.0, init=False)
    _way_s: float = field(default=inf, init=False)
    _lags: list[float] = field(factory=list, init=False)
    _waiting: dict[str, tuple[float, float, bool]] = field(factory=dict, init=False)
    _marked_s: float = field(default=0.0, init=False)
    _first_marks: int = field(default=0, init=False)

    def sent(self, duration_s: float, now: float) -> None:
        """Some audio left at ``now``."""
        if self._plays_until <= now:
            self._run_delay_s = self.delay_s
            self._plays_until = now + self.delay_s
        self._plays_until += duration_s
        self.sent_s += duration_s

    def is_idle(self, now: float) -> bool:
        """Whether all that was sent has been played for certain, so that a mark comes back at once."""
        return self._plays_until + SURELY_IDLE_S <= now

    @property
    def wants_mark(self) -> bool:
        """Whether enough was sent since the last mark."""
        every_s = MARK_EVERY_S if self._lags or self._first_marks >= MOST_FIRST_MARKS else 0.0
        return self.sent_s > self._marked_s and self.sent_s - self._marked_s >= every_s - 1e-6

    def marked(self, name: str, now: float) -> None:
        """A mark of this name was sent behind all audio so far."""
        in_front = self.is_idle(now)
        self._marked_s = self.sent_s
        self._first_marks += not self._lags
        if len(self._waiting) >= MAX_WAITING:  # a peer that never answers
            del self._waiting[next(iter(self._waiting))]
        self._waiting[name] = (self.sent_s, now if in_front else self._plays_until - self._run_delay_s, in_front)

    def told(self, name: str, now: float) -> bool:
        """A mark has come back; whether it was one of these."""
        known = self._waiting.pop(name, None)
        if known is None:
            return False
        place_s, expected, in_front = known
        lag_s = max(0.0, now - expected)
        if in_front:
            self._way_s = min(self._way_s, lag_s)
        else:
            self._lags = [*self._lags[1 - LAST_MARKS :], lag_s]
        self._confirmed_s = max(self._confirmed_s, place_s)
        if self._lags and self._way_s < inf:
            self._learned(max(0.0, min(self._lags) - self._way_s), now)
        return True

    def _learned(self, delay_s: float, now: float) -> None:
        self.delay_s = delay_s
        if self._plays_until - self._run_delay_s + delay_s > now:  # it is still playing
            self._plays_until += delay_s - self._run_delay_s
            self._run_delay_s = delay_s

    def played_s(self, now: float) -> float:
        """How much of what was sent has been played."""
        by_clock = self.sent_s - max(0.0, self._plays_until - now)
        if not self._lags:
            by_clock = min(by_clock, self._untold_s(now))
        return min(self.sent_s, max(by_clock, self._confirmed_s, 0.0))

    def _untold_s(self, now: float) -> float:
        """Up to where the peer may have played without a mark having come back; rule 5."""
        for place_s, expected, in_front in self._waiting.values():
            if not in_front:
                is_due = now < expected + self._way_s + SURELY_IDLE_S  # never, where no mark ever came back
                return place_s + self._way_s if is_due else inf
        return inf

    def cleared(self, now: float) -> None:
        """The peer has dropped what it had not played: it is as if that had never been sent."""
        self._plays_until = min(self._plays_until, now)
        self._confirmed_s = self.sent_s
        self._waiting = {name: known for name, known in self._waiting.items() if known[2]}
