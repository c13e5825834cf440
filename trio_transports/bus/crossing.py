"""Which jobs live on one connection of a proxy.

Rules
1. A job is on it from when its request crosses, or waits to, until it is answered or given up.
2. What the peer asks for is bounded: it may ask those that answer nothing. Past ``MAX_ASKED`` the oldest are forgotten.
3. The jobs that end with a connection are those that no other one of the same two workers carries.
"""

from collections.abc import Iterable
from typing import Final, final

from attrs import define, field

from .messages import (
    BusJobCancelMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusJobResponseUrgentMessage,
    BusJobStreamEndMessage,
    BusMessage,
)

MAX_ASKED: Final = 1024

_ENDS: Final = (BusJobResponseMessage, BusJobResponseUrgentMessage, BusJobStreamEndMessage, BusJobCancelMessage)


@final
@define(eq=False)
class Crossing:
    local: str
    remote: str
    ours: set[str] = field(factory=set, init=False)
    """What the worker here asked for."""
    theirs: dict[str, None] = field(factory=dict, init=False)
    """What it was asked for, in order."""

    def note(self, message: BusMessage) -> None:
        """A message crosses, in either direction."""
        if isinstance(message, BusJobRequestMessage):
            if message.source == self.local:
                self.ours.add(message.job_id)
                return
            self.theirs[message.job_id] = None
            if len(self.theirs) > MAX_ASKED:
                del self.theirs[next(iter(self.theirs))]
        elif isinstance(message, _ENDS):
            self.ours.discard(message.job_id)
            self.theirs.pop(message.job_id, None)

    def lost(self, others: "Iterable[Crossing]") -> frozenset[str]:
        """The connection is lost, and ``others`` are not: what ends with it. Nothing is on it any more."""
        elsewhere = set[str]()
        for other in others:
            if (other.local, other.remote) == (self.local, self.remote):
                elsewhere.update(other.ours, other.theirs)
        lost = frozenset({*self.ours, *self.theirs} - elsewhere)
        self.ours.clear()
        self.theirs.clear()
        return lost
