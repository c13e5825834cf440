"""Who reads an app's WebSocket: one task at a time, and others that wait until it has."""

from typing import final

from attrs import define, field
from trio.lowlevel import ParkingLot


@final
@define(eq=False)
class Reading:
    """One connection's. Whoever reads sets ``is_under_way``, and calls ``stop`` in any case."""

    is_under_way: bool = field(default=False, init=False)
    _waiting: ParkingLot = field(factory=ParkingLot, init=False)

    def stop(self) -> None:
        self.is_under_way = False
        self._waiting.unpark_all()

    def wake(self) -> None:
        """Have those that wait look again: it may have ended."""
        self._waiting.unpark_all()

    async def wait(self) -> None:
        """Wait until another task has read."""
        await self._waiting.park()
