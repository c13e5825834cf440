"""What waits for one run of the app: bounded, and never in the way of a connection whose app has gone.

Rules
1. A full queue holds back the connection's reader, as hypercorn's does.
2. Once the app has returned, what arrives for it is dropped: the reader is never stuck behind an app that is gone.
3. The news that the peer is gone never waits for room. It comes after what was queued, and stays: every later
   ``receive`` gives it again, where hypercorn's own queue would wait for ever.
"""

from collections import deque
from typing import Any, TypeAlias, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

ASGIEvent: TypeAlias = dict[str, Any]


@final
@define(eq=False)
class AppQueue:
    _limit: int
    _events: deque[ASGIEvent] = field(factory=deque, init=False)
    _disconnect: ASGIEvent | None = field(default=None, init=False)
    _app_returned: bool = field(default=False, init=False)
    _getters: ParkingLot = field(factory=ParkingLot, init=False)
    _putters: ParkingLot = field(factory=ParkingLot, init=False)

    async def put(self, event: ASGIEvent) -> None:
        """Add an event: a checkpoint only when the queue is full, as its one caller has just waited for the socket."""
        while len(self._events) >= self._limit and not self._is_over:
            await self._putters.park()
        if not self._is_over:
            self._events.append(event)
            self._getters.unpark()

    async def receive(self) -> ASGIEvent:
        """Give the next event; cancelling it loses nothing."""
        if self._events or self._disconnect is not None:
            await trio.lowlevel.checkpoint()
        while not self._events:
            if self._disconnect is not None:
                return self._disconnect
            await self._getters.park()
        self._putters.unpark()
        return self._events.popleft()

    def disconnect(self, event: ASGIEvent) -> None:
        if self._disconnect is None:
            self._disconnect = event
            self._putters.unpark_all()
            self._getters.unpark_all()

    def app_returned(self) -> None:
        self._app_returned = True
        self._events.clear()
        self._putters.unpark_all()

    @property
    def _is_over(self) -> bool:
        return self._app_returned or self._disconnect is not None
