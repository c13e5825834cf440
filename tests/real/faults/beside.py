"""The call beside all others: it knows of no fault, talks all the time, and must notice nothing."""

from typing import final

import trio
from attrs import define, field

from tests.real.faults.calls import GOOD_END, PAUSE_S
from tests.real.faults.observer import LIMIT_S, Witness, until
from tests.real.faults.places import BESIDE, SHORT, Place, parsed
from trio_transports import ConnectionClosed, Session, TextFrame, WebsocketClientParams, WebsocketClientTransport
from trio_transports.serializers import JSONFrameSerializer


@final
@define(eq=False)
class Beside:
    """Rule 6 of the observer. It keeps nothing of what it hears, so that it may go on for long."""

    place: Place
    said: int = field(default=0, init=False)
    heard: int = field(default=0, init=False)
    mistakes: list[str] = field(factory=list, init=False)
    is_over: trio.Event = field(factory=trio.Event, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        near = Witness()
        params = WebsocketClientParams(serializer=JSONFrameSerializer(), **{**SHORT, "ping_interval": None})
        transport = WebsocketClientTransport(self.place.url(self.place.port, BESIDE), params, engine="direct")
        events = transport.events()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.follow, events)
            async with transport.session() as session:
                nursery.start_soon(self._listen, session)
                try:
                    await self._talk(session, task_status)
                except ConnectionClosed as exc:
                    self.mistakes.append(f"the call beside was ended: {exc!r}")
        if self.heard != self.said:
            self.mistakes.append(f"the call beside heard {self.heard} of its {self.said} words")
        if list(near.ended.values()) != [[GOOD_END]]:
            self.mistakes.append(f"the call beside ended as {near.ended}")

    async def _talk(self, session: Session, task_status: trio.TaskStatus[None]) -> None:
        while not self.is_over.is_set():
            await session.output.send(TextFrame(text=f"{BESIDE}:{self.said}", aloud=False))
            self.said += 1
            if self.said == 1:
                await until(lambda: self.heard, LIMIT_S)
                task_status.started()
            await trio.sleep(PAUSE_S)
        await until(lambda: self.heard >= self.said, LIMIT_S)

    async def _listen(self, session: Session) -> None:
        async for frame in session.input:
            if isinstance(frame, TextFrame) and (said := parsed(frame.text)):
                if said[1] != self.heard:
                    self.mistakes.append(f"the call beside heard its word {said[1]} instead of {self.heard}")
                self.heard += 1
