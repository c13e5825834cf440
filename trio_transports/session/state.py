"""Where a session stands in its life: one literal table of what may follow what.

Rules
1. ``Life.to`` is the only place that changes the state. A change that the table lacks is refused by returning False:
   somebody else was first.
2. What ended a session is recorded once; later causes do not overwrite it.
"""

from enum import Enum
from typing import Final, final

from attrs import define, field

from ..errors import ConnectionClosed


class State(Enum):
    OPEN = "open"
    DRAINING = "draining"
    """The body has returned: no new input, what is queued goes out."""
    CLOSING = "closing"
    """Goodbye is being said."""
    CLOSED = "closed"
    """Over, with a close handshake."""
    ABORTED = "aborted"
    """Over, without one."""


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.OPEN: frozenset({State.DRAINING, State.CLOSING, State.CLOSED, State.ABORTED}),
    State.DRAINING: frozenset({State.CLOSING, State.CLOSED, State.ABORTED}),
    State.CLOSING: frozenset({State.CLOSED, State.ABORTED}),
    State.CLOSED: frozenset(),
    State.ABORTED: frozenset(),
}

OVER: Final = frozenset({State.CLOSED, State.ABORTED})
ENDING: Final = OVER | {State.CLOSING}
"""Nothing can be sent any more."""


@final
@define(eq=False)
class Life:
    """The state and the cause of the end."""

    state: State = field(default=State.OPEN, init=False)
    ending: ConnectionClosed | None = field(default=None, init=False)
    is_ending: bool = field(default=False, init=False)
    """Nothing can be sent any more."""
    is_over: bool = field(default=False, init=False)
    has_wire: bool = field(default=True, init=False)
    """False while a reconnecting client has no connection."""

    def to(self, state: State) -> bool:
        if state not in TRANSITIONS[self.state]:
            return False
        self.state = state
        self.is_ending = state in ENDING
        self.is_over = state in OVER
        return True

    def ended(self, ending: ConnectionClosed) -> None:
        if self.ending is None:
            self.ending = ending

    def closed_error(self) -> ConnectionClosed:
        """Make the error for a caller: a new one each time, so that tracebacks stay apart."""
        ending = self.ending or ConnectionClosed(1006, "the session is closing", initiator="local")
        return ConnectionClosed(ending.code, ending.reason, initiator=ending.initiator)
