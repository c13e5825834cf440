"""The runs of the app on one connection: who is told what, and when the last of them has ended."""

from collections.abc import Awaitable, Callable
from typing import final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from .app_run import AppRun
from .host import Host
from .websocket import HostedWebsocket


@final
@define(eq=False)
class Runs:
    """Those that are alive."""

    _host: Host
    _alive: set[AppRun] = field(factory=set, init=False)
    _ended: ParkingLot = field(factory=ParkingLot, init=False)

    def __len__(self) -> int:
        return len(self._alive)

    def add(self, run: AppRun) -> None:
        """Count it from now on, and soon call ``run``."""
        self._alive.add(run)

    async def run(self, run: AppRun, say_goodbye: Callable[[], Awaitable[None]]) -> None:
        """Run an app to its end, and count how that was."""
        try:
            await run.run(say_goodbye)
        finally:
            self._alive.remove(run)
            if run.websocket is not None:
                leaving = self._host.leaving
                leaving.call_ended.unpark_all()
                if not run.websocket.was_accepted:
                    self._host.counting.refuse("leaving" if leaving.is_leaving else "app")
            if not self._alive:
                self._ended.unpark_all()

    @property
    def websockets(self) -> list[HostedWebsocket]:
        return [run.websocket for run in self._alive if run.websocket is not None]

    @property
    def refused(self) -> list[AppRun]:
        """Who sent data before its upgrade was answered."""
        return [run for run in self._alive if run.websocket is not None and run.websocket.is_refused]

    def shut_down(self) -> None:
        """Tell the app's sessions that the server stops."""
        for websocket in self.websockets:
            websocket.shut_down()

    def cancel(self) -> None:
        for run in self._alive:
            run.cancel()

    async def peer_left(self) -> None:
        """Tell each that the connection is over; others have their turn meanwhile (``reader``, rule 3)."""
        for run in tuple(self._alive):
            run.peer_left()
            await trio.lowlevel.checkpoint()

    async def ended(self) -> None:
        """Wait until none is alive."""
        while self._alive:
            await self._ended.park()
