"""How long the bot took to answer: from the user's last word to the first of its own that leaves.

Rules
1. The last word is known by the place in the inbound audio at which speech ended, not by when that was noticed: what
   the analyzer waits for to be sure is part of the wait that a caller feels.
2. A turn is measured once. A user who speaks again before the answer begins a new one.
3. Where the peer says itself that its user has stopped, the last word is when that is read.
"""

from collections.abc import Callable
from typing import final

from attrs import define, field


@final
@define(eq=False)
class Turn:
    """Times are the session's clock, in seconds. ``on_answered`` is called with the wait when an answer begins."""

    on_answered: Callable[[float], None] | None = field(default=None, init=False)
    _user_stopped_at_s: float | None = field(default=None, init=False)

    def user_started(self) -> None:
        self._user_stopped_at_s = None

    def user_stopped(self, now_s: float, since_s: float = 0.0) -> None:
        """The last word was heard ``since_s`` ago."""
        self._user_stopped_at_s = now_s - max(0.0, since_s)

    def bot_started(self, now_s: float) -> float | None:
        """Give the wait in seconds; None where nobody waited."""
        stopped_at_s, self._user_stopped_at_s = self._user_stopped_at_s, None
        if stopped_at_s is None:
            return None
        wait_s = now_s - stopped_at_s
        if self.on_answered is not None:
            self.on_answered(wait_s)
        return wait_s
