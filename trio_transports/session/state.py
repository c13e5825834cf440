"""Where a session stands in its life: one literal table of what may follow what.

Rules
1. ``Life.to`` is the only place that changes the state. A change that the table lacks is refused by returning False:
   somebody else was first.
2. What ended a session is recorded once; later causes do not overwrite it.
3. A caller that says in its dialect that the call is over has ended it, whichever side's Close is read first then.
"""

from enum import Enum
from typing import Final, final

import trio
from attrs import define, evolve, field

from ..errors import ConnectionClosed, Ending


class State(Enum):
    OPEN = "open"
    DRAINING = "draining"
    """This side ends it: no new input, what is queued goes out."""
    CLOSING = "closing"
    """Goodbye is being said."""
    CLOSED = "closed"
    """Over, with a close handshake."""
    ABORTED = "aborted"
    """Over, without one."""

    def __init__(self, name: str) -> None:
        self.is_over = name in ("closed", "aborted")
        self.is_ending = self.is_over or name == "closing"
        """Nothing can be sent any more."""


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.OPEN: frozenset({State.DRAINING, State.CLOSING, State.CLOSED, State.ABORTED}),
    State.DRAINING: frozenset({State.CLOSING, State.CLOSED, State.ABORTED}),
    State.CLOSING: frozenset({State.CLOSED, State.ABORTED}),
    State.CLOSED: frozenset(),
    State.ABORTED: frozenset(),
}


@final
@define(eq=False)
class Life:
    """The state, the cause of the end, and when that was."""

    state: State = field(default=State.OPEN, init=False)
    ending: Ending | None = field(default=None, init=False)
    over: trio.Event = field(factory=trio.Event, init=False)
    started_at_s: float = field(factory=trio.current_time)
    ended_at_s: float | None = field(default=None, init=False)
    redialling: trio.CancelScope | None = field(default=None, init=False)
    """Around dialling again, while a reconnecting client has no connection."""
    peer_has_stopped: bool = field(default=False, init=False)
    """The peer's dialect has said that the call is over; rule 3."""

    def peer_stopped(self) -> None:
        """Note that the peer's dialect has said that the call is over; rule 3."""
        self.peer_has_stopped = self.peer_has_stopped or self.state is State.OPEN

    @property
    def has_wire(self) -> bool:
        return self.redialling is None

    def to(self, state: State) -> bool:
        """Change the state; False where the table lacks the change (rule 1)."""
        if state not in TRANSITIONS[self.state]:
            return False
        self.state = state
        return True

    def close(self, ending: Ending) -> bool:
        """Begin to say goodbye, for this reason; False if that has begun already. Nobody is waited for to dial."""
        if not self.to(State.CLOSING):
            return False
        self.ending = evolve(ending, initiator="remote") if self.peer_has_stopped and ending.code == 1000 else ending
        if self.redialling is not None:
            self.redialling.cancel()
        return True

    def end(self, ending: Ending) -> bool:
        """Be over, for this reason if there is none yet; False if it was over already."""
        if not self.to(State.ABORTED if ending.code == 1006 else State.CLOSED):
            return False
        if self.ending is None:
            self.ending = ending
        self.ended_at_s = trio.current_time()
        self.over.set()
        return True

    @property
    def told_ending(self) -> Ending:
        """What is told of the end, to whoever asks after it has begun."""
        return self.ending or Ending(1006, "the session is closing", "local")

    def check_connected(self) -> None:
        """Raise ConnectionClosed once nothing can be sent any more."""
        if self.state.is_ending:
            raise self.told_ending.error()

    def closed_error(self) -> ConnectionClosed | None:
        """What ``check_connected`` would raise."""
        return self.told_ending.error() if self.state.is_ending else None
