"""Audio of an answer that was cut off, from an agent that does not name its utterances and has not noticed yet.

Rules
1. What comes after an interruption in the middle of an answer is late, and goes no further, until the agent tells of a
   turn (its own is over or taken back, or what the caller said in one), or has been silent for ``GAP_S``, or for
   ``LONGEST_S`` at most: an agent that tells nothing and never pauses must not be silenced for ever.
2. It was in the middle of an answer if what it said is being said, or something came from it within ``GAP_S``. A caller
   who speaks while the agent is silent makes nothing late.
"""

from math import inf
from typing import Final, final

from attrs import define, field

GAP_S: Final = 0.5
LONGEST_S: Final = 3.0


@final
@define(eq=False)
class LateAudio:
    """Driven by the times it is given."""

    _came_at: float = field(default=-inf, init=False)
    """When audio came last."""
    _until: float = field(default=-inf, init=False)

    def interrupted(self, now: float, *, speaks: bool) -> None:
        """Somebody interrupted; ``speaks``: something that the agent said was being said, or waited for it."""
        if speaks or now - self._came_at < GAP_S:
            self._until = now + LONGEST_S
            self._came_at = now

    def turned(self) -> None:
        """The agent tells of a turn: what comes now is of another one."""
        self._until = self._came_at = -inf

    def drops(self, now: float) -> bool:
        """Whether what comes now is late."""
        return now < self._until and now - self._came_at < GAP_S

    def is_late(self, now: float) -> bool:
        """Audio without a name came: whether it is too late."""
        is_late = self.drops(now)
        if not is_late:
            self._until = -inf
        self._came_at = now
        return is_late
