"""The end of a call that this side ends by a frame: all is said and heard, then comes the dialect's goodbye.

Rules
1. An ``EndFrame`` ends the call once what was queued before it, and the end silence, has left; and, where the dialect
   tells, once it was played. Then the dialect's own word for the end leaves, if it has one, and the close with 1000.
2. It happens in the session, whatever becomes of the task that sent the frame.
3. It takes as long as a drain may, then what is left is dropped and the rest of rule 1 happens all the same. An
   interruption drops what is queued as ever, and so brings the end nearer.
4. A ``CancelFrame`` goes straight to the goodbye.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import final

import trio
from attrs import define, field

from ..serializers.protocol import Message
from .clock import Clock, Timer
from .marks import DrainMarks
from .outbox import Outbox


@final
@define(eq=False)
class Farewell:
    """Owned by one session. ``close`` says goodbye with a code and reason, at once."""

    _clock: Clock
    _outbox: Outbox
    _marks: DrainMarks
    _close: Callable[[int, str], None]
    has_begun: bool = field(default=False, init=False)
    was_said: bool = field(default=False, init=False)
    """All of it was left to the send task: what ended the session afterwards is no failure of this."""
    _words: Sequence[Message] = field(default=(), init=False)
    _reason: str = field(default="", init=False)
    _limit: Timer = field(init=False)
    _asked: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._limit = Timer(inf, self._is_late)

    def begin(self, words: Sequence[Message], reason: str | None, *, within_s: float) -> None:
        """Say ``words`` when all has left; the caller then looks whether it has, and calls ``all_left``."""
        self.has_begun = True
        self._words, self._reason = words, reason or ""
        self._limit.at_s = trio.current_time() + within_s
        self._clock.timers = (*self._clock.timers, self._limit)

    def all_left(self) -> None:
        """Nothing is queued any more."""
        if self._asked or self.was_said:
            return
        self._asked = True
        if not self._marks.ask(self.say):
            self.say()

    def say(self) -> None:
        if not self.was_said:
            self.was_said = True
            self._limit.at_s = inf
            self._outbox.put_last(self._words)
            self._close(1000, self._reason)

    def _is_late(self, _now_s: float) -> float:
        self.say()
        return inf
