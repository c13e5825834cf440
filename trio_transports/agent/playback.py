"""What a player would be doing with an agent's audio: until when it plays, and what is to be said when it has.

Rules
1. Audio is played as it comes, one piece after the other; what comes ahead of real time is queued.
2. A reply that waits for the player is due when all audio that came before it was played.
3. Clearing stops the player: whatever waits is due at once.
"""

from collections import deque
from math import inf
from typing import final

from attrs import define, field

from .events import Reply


@final
@define(eq=False)
class AgentPlayback:
    """Driven by the times it is given."""

    until: float = field(default=-inf, init=False)
    _waiting: deque[tuple[float, Reply]] = field(factory=deque, init=False)

    def audio(self, duration_s: float, at: float) -> None:
        self.until = max(self.until, at) + duration_s

    def wait(self, reply: Reply, at: float) -> None:
        """Make a reply due: at once, or when what came before it has been played (rule 2)."""
        self._waiting.append((max(self.until, at) if reply.when_played else at, reply))

    def clear(self, at: float) -> None:
        self.until = min(self.until, at)
        self._waiting = deque((min(due, at), reply) for due, reply in self._waiting)

    @property
    def next_due(self) -> float:
        return min((due for due, _ in self._waiting), default=inf)

    def take_due(self, now: float) -> list[Reply]:
        """Take the replies that are due, in the order of their messages."""
        due = [reply for at, reply in self._waiting if at <= now]
        self._waiting = deque((at, reply) for at, reply in self._waiting if at > now)
        return due
