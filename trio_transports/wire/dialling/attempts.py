"""The attempts to connect again, counted since the last connection that held.

Rules
1. A connection is a success once it has lasted ``stable_after``. Only a success starts the count, and with it the
   backoff, anew: a server that accepts and drops is tried ever more seldom, and given up in the end (HAZARDS 34).
2. Once ``max_attempts`` in a row were no success, ``next_delay_s`` raises.
"""

import random
from collections.abc import Callable
from typing import final

import trio
from attrs import define, field

from ...errors import TransportError
from ...params import ReconnectPolicy


@final
@define(eq=False)
class Attempts:
    """Owned by one session, or one worker; it does not wait itself. ``chance`` gives the numbers for the jitter."""

    _policy: ReconnectPolicy
    _url: str
    _chance: Callable[[], float] = random.random
    made: int = field(default=0, init=False)
    """Attempts since the last success."""
    _connected_at_s: float | None = field(default=None, init=False)

    def connected(self) -> None:
        """There is a connection, stable or not."""
        self._connected_at_s = trio.current_time()

    def next_delay_s(self, cause: Exception) -> float:
        """Count one more attempt, after a loss or a failure; return how long to wait before it."""
        connected_at_s, self._connected_at_s = self._connected_at_s, None
        if connected_at_s is not None and trio.current_time() - connected_at_s >= self._policy.stable_after:
            self.made = 0
        limit = self._policy.max_attempts
        if limit is not None and self.made >= limit:
            raise TransportError(f"gave up after {self.made} attempts to connect to {self._url}: {cause}")
        self.made += 1
        return self._policy.delay_s(self.made, self._chance())
