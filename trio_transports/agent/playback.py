"""What a player would be doing with an agent's audio: until when it plays, and what is to be said when it has.

Rules
1. Audio is played as it comes, one piece after the other; what comes ahead of real time is queued.
2. A reply that waits for the player is due when all audio that came before it was played. Past ``MAX_REPLIES`` that
   wait, the next is due at once: it is early then, and none is lost.
3. Clearing stops the player: whatever waits is due at once.
"""

from heapq import heapify, heappop, heappush
from math import inf
from operator import itemgetter
from typing import Final, final

from attrs import define, field

from .events import Reply

MAX_REPLIES: Final = 16_384


@final
@define(eq=False)
class AgentPlayback:
    """Driven by the times it is given."""

    until: float = field(default=-inf, init=False)
    _waiting: list[tuple[float, int, Reply]] = field(factory=list, init=False)
    """A heap: when each is due, and which one it was."""
    _replies: int = field(default=0, init=False)

    def audio(self, duration_s: float, at: float) -> None:
        self.until = max(self.until, at) + duration_s

    def wait(self, reply: Reply, at: float) -> None:
        """Make a reply due: at once, or when what came before it has been played (rule 2)."""
        self._replies += 1
        heappush(self._waiting, (max(self.until, at) if reply.when_played else at, self._replies, reply))

    def clear(self, at: float) -> None:
        self.until = min(self.until, at)
        self._waiting = [(min(due, at), number, reply) for due, number, reply in self._waiting]
        heapify(self._waiting)

    @property
    def next_due(self) -> float:
        return self._waiting[0][0] if self._waiting else inf

    def take_due(self, now: float) -> list[Reply]:
        """Take the replies that are due, in the order of their messages."""
        due: list[tuple[int, Reply]] = []
        while self._waiting and (self._waiting[0][0] <= now or len(self._waiting) > MAX_REPLIES):
            _, number, reply = heappop(self._waiting)
            due.append((number, reply))
        return [reply for _, reply in sorted(due, key=itemgetter(0))]
