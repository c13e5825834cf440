"""The call beside all others: it knows of no fault, talks all the time, and must notice nothing.

Where it was hurt while the machine stood still, that is told apart, and it calls again.
"""

from typing import final

import trio
from attrs import define, field

from tests.real.faults.calls import GOOD_END, PAUSE_S
from tests.real.faults.observer import LIMIT_S, Witness, until
from tests.real.faults.places import BESIDE, SHORT, Place, parsed
from tests.real.faults.standstill import Standstill
from trio_transports import Session, TextFrame, TransportError, WebsocketClientParams, WebsocketClientTransport
from trio_transports.serializers import JSONFrameSerializer


@final
@define(eq=False)
class Beside:
    """Rule 6 of the observer. It keeps nothing of what it hears, so that it may go on for long."""

    place: Place
    standstill: Standstill
    limit_s: float = LIMIT_S
    words: int = field(default=0, init=False)
    """How many it has heard, in all its calls."""
    mistakes: list[str] = field(factory=list, init=False)
    not_judged: list[str] = field(factory=list, init=False)
    is_under_way: trio.Event = field(factory=trio.Event, init=False)
    is_over: trio.Event = field(factory=trio.Event, init=False)
    _said: int = field(default=0, init=False)
    _heard: int = field(default=0, init=False)

    async def run(self) -> None:
        while not self.is_over.is_set() and not self.mistakes:
            await self._call()
            if self.mistakes and (excuse := await self.standstill.verdict(trio.current_time() - LIMIT_S)):
                self.not_judged.append(f"the call beside: {excuse}; seen: {self.mistakes}")
                self.mistakes.clear()
        self.is_under_way.set()

    async def _call(self) -> None:
        self._said = self._heard = 0
        near = Witness()
        params = WebsocketClientParams(serializer=JSONFrameSerializer(), **{**SHORT, "ping_interval": None})
        transport = WebsocketClientTransport(self.place.url(self.place.port, BESIDE), params, engine="direct")
        events = transport.events()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.follow, events)
            try:
                async with transport.session() as session:
                    nursery.start_soon(self._listen, session)
                    await self._talk(session)
            except (TransportError, OSError) as exc:
                self.mistakes.append(f"the call beside was ended: {exc!r}")
                nursery.cancel_scope.cancel()
        self.words += self._heard
        if self._heard != self._said:
            self.mistakes.append(f"the call beside heard {self._heard} of its {self._said} words")
        if list(near.ended.values()) != [[GOOD_END]]:
            self.mistakes.append(f"the call beside ended as {near.ended}")

    async def _talk(self, session: Session) -> None:
        while not self.is_over.is_set():
            await session.output.send(TextFrame(text=f"{BESIDE}:{self._said}", aloud=False))
            self._said += 1
            if self._said == 1:
                await until(lambda: self._heard or not session.is_connected, self.limit_s)
                self.is_under_way.set()
            await trio.sleep(PAUSE_S)
        await until(lambda: self._heard >= self._said or not session.is_connected, self.limit_s)

    async def _listen(self, session: Session) -> None:
        async for frame in session.input:
            if isinstance(frame, TextFrame) and (said := parsed(frame.text)):
                if said[1] != self._heard:
                    self.mistakes.append(f"the call beside heard its word {said[1]} instead of {self._heard}")
                self._heard += 1
