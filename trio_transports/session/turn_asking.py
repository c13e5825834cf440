"""Asking a turn analyzer, in a worker thread, without being at its mercy.

Rules
1. One question at a time is with it, in a thread of its own: one that hangs takes no thread away from others.
2. It is waited for until the clock ends the turn. Later the answer counts no more, and nothing is asked until it has
   come: the clock ends the turns meanwhile, and a log line says so once.
3. Cancelled, the answer is waited for no longer, so that a call ends even when its analyzer never does.
4. What it raises is raised.
"""

import logging
from typing import final

import trio
from attrs import define, field

from ..vad.turn_watch import TurnQuestion
from ..vad.turns import TurnAnalyzer

logger = logging.getLogger(__name__)


@final
@define(eq=False)
class TurnAsking:
    """One caller's."""

    _analyzer: TurnAnalyzer
    _thread: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(1), init=False)
    _has_warned: bool = field(default=False, init=False)

    async def ask(self, question: TurnQuestion) -> bool:
        """Whether the turn is over, as far as it says so in time."""
        if not self._thread.available_tokens:
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "turn analyzer %r still thinks about an earlier pause: the clock ends the turn", self._analyzer
                )
            await trio.lowlevel.checkpoint()
            return False
        with trio.move_on_at(question.overruled_at):
            return await trio.to_thread.run_sync(
                question.ask, self._analyzer, abandon_on_cancel=True, limiter=self._thread
            )
        return False
