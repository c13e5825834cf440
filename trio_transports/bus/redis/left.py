"""What readers that have ended leave unhandled of a stream: it stays in Redis if the bus is about to end as well.

Rules
1. A process ends its workers, then its bus. What waited for a worker, and what is read when it has ended, is not
   acknowledged then: the next life of the process reads it again, as it would after a crash. What a worker had in hand
   is: one message that it fails at stops one life, not all.
2. A bus that goes on for ``keep_s`` seconds had only lost a reader. Nobody here wants it, and it is acknowledged; who
   subscribes under that name later is not given it.
3. At most ``MAX_KEPT`` are kept; past it the oldest are acknowledged.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, final

import trio
from attrs import define, field

KEEP_S: Final = 30.0
"""So long a process often has to end."""
MAX_KEPT: Final = 10_000


@final
@define(eq=False)
class Left:
    keep_s: float = KEEP_S
    _fresh: deque[Callable[[], None]] = field(factory=deque, init=False)
    _kept: deque[tuple[float, Callable[[], None]]] = field(factory=deque, init=False)
    """With the time up to which it is, in order."""

    def put(self, settle: Callable[[], None]) -> None:
        """Keep an entry that ``settle`` acknowledges. A reader may end where there is no clock."""
        self._fresh.append(settle)

    def settle_due(self) -> None:
        """Acknowledge what was kept long enough."""
        now_s = trio.current_time()
        while self._fresh:
            self._kept.append((now_s + self.keep_s, self._fresh.popleft()))
        while self._kept and (self._kept[0][0] <= now_s or len(self._kept) > MAX_KEPT):
            self._kept.popleft()[1]()
