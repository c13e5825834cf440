"""What a telephone does by itself: it plays what it hears, and tells the bot which marks it has reached."""

from collections import deque
from typing import final

import trio
from attrs import define, field

from ..errors import ConnectionClosed
from ..frames import AudioFrame, Frame, InterruptionFrame, MarkFrame
from ..session.session import Session


@final
@define(eq=False)
class MarkTeller:
    """Plays in real time, as a thought: ``hear`` what comes, and ``run`` tells each mark when it is due."""

    _plays_until_s: float = field(default=float("-inf"), init=False)
    _due: deque[tuple[float, str]] = field(factory=deque, init=False)
    _more: trio.Event = field(factory=trio.Event, init=False)

    def hear(self, frame: Frame) -> None:
        now_s = trio.current_time()
        match frame:
            case AudioFrame():
                self._plays_until_s = max(self._plays_until_s, now_s) + frame.duration_s
            case MarkFrame(mark=name):
                self._due.append((max(self._plays_until_s, now_s), name))
                self._wake()
            case InterruptionFrame():
                # What was not played is dropped, and its marks are told at once: as the providers do.
                self._plays_until_s = now_s
                self._due = deque((now_s, name) for _, name in self._due)
                self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = trio.Event()

    async def run(self, session: Session) -> None:
        try:
            while True:
                while self._due and self._due[0][0] <= trio.current_time():
                    await session.output.send(MarkFrame(mark=self._due.popleft()[1]))
                with trio.move_on_at(self._due[0][0] if self._due else float("inf")):
                    await self._more.wait()
        except ConnectionClosed:
            return  # nobody is there to be told
