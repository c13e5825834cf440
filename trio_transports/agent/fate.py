"""How one conversation ends: what is known of that, and the errors that say it.

Rules
1. The first ending counts. An agent that says that it hung up has finished, whatever its connection does then.
2. Each error is a new one, so that tracebacks stay apart.
"""

from typing import final

import trio
from attrs import define, field

from ..errors import ConnectionClosed
from .outcomes import CLEAN_CLOSE_CODES, AgentConnectionLost, AgentFinished, AgentSilent
from .turn import Answer


@final
@define(eq=False)
class Fate:
    """One conversation's. ``dead_after_s`` is how long a dead agent can pass for a silent one."""

    url: str
    dialled_at: float
    dead_after_s: float | None
    ending: ConnectionClosed | None = field(default=None, init=False)
    has_ended: trio.Event = field(factory=trio.Event, init=False)
    """Set when it is known how it ended."""
    has_hung_up: bool = field(default=False, init=False)
    """The agent says that the conversation is over."""
    is_leaving: bool = field(default=False, init=False)
    """It is this side's will to end."""
    _ended_at: float | None = field(default=None, init=False)

    def end(self, ending: ConnectionClosed) -> None:
        """Take how the connection ended."""
        self.ending = ending.ending.error()  # one that was raised would keep what its frames hold
        self._ended_at = trio.current_time()
        self.has_ended.set()

    def outcome(self, ending: ConnectionClosed | None = None) -> AgentFinished | AgentConnectionLost:
        """Make the error that says how it ended; ``ending`` is believed where nothing else is known."""
        known = self.ending or ending
        elapsed_s = (trio.current_time() if self._ended_at is None else self._ended_at) - self.dialled_at
        code, reason = (None, "") if known is None else (known.code, known.reason)
        by_agent = self.has_hung_up or (known is not None and known.initiator != "local")
        if self.has_hung_up or known is None or (code in CLEAN_CLOSE_CODES and (by_agent or self.is_leaving)):
            what = f"{'the agent' if by_agent else 'this side'} finished the conversation"
            return AgentFinished(what, peer=self.url, elapsed_s=elapsed_s, close_code=code, reason=reason)
        what = f"the connection broke ({known})"
        return AgentConnectionLost(what, peer=self.url, elapsed_s=elapsed_s, close_code=code, reason=reason)

    def silent(self, waited_s: float, messages: int, unsent_s: float, answer: Answer | None = None) -> AgentSilent:
        """Make the error that says that nothing came, so many messages without audio apart."""
        return AgentSilent(
            peer=self.url,
            elapsed_s=trio.current_time() - self.dialled_at,
            waited_s=waited_s,
            messages=messages,
            dead_after_s=self.dead_after_s,
            unsent_s=unsent_s,
            answer=answer,
        )
