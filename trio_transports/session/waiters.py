"""Who waits for something on its way to the peer: for the peer's start, for room, or until nothing is queued.

Rules
1. Whoever waits is woken whenever what it waits for may have changed, and looks for itself; see ``session.outbound``.
"""

from collections.abc import Callable
from typing import final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot


@final
@define(eq=False)
class Waiters:
    """Those of one session."""

    ready: trio.Event = field(factory=trio.Event, init=False)
    """Set once something can be said at all."""
    room: ParkingLot = field(factory=ParkingLot, init=False)
    drained: ParkingLot = field(factory=ParkingLot, init=False)
    converting: int = field(default=0, init=False)
    """Frames that take long to convert, and are not queued yet."""
    when_drained: Callable[[], None] | None = field(default=None, init=False)
    """Called whenever nothing is queued any more."""

    def shut(self) -> None:
        """Have whoever wants to say something wait for the peer's start again."""
        if self.ready.is_set():
            self.ready = trio.Event()

    def wake(self) -> None:
        """Let everybody look."""
        self.ready.set()
        self.room.unpark_all()
        self.drained.unpark_all()

    def tell_drained(self) -> None:
        self.drained.unpark_all()
        if self.when_drained is not None:
            self.when_drained()
