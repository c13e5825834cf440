"""One call of a frame worker: what its handler is given to hear the caller and to speak to it.

Rules: 2 and 5 of ``bus.frame_worker``.
"""

from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from .._documented import documented
from ..errors import ConnectionClosed
from ..frames import (
    AudioFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    JSONValue,
    MessageFrame,
    StartFrame,
)
from ..session.inbox import Inbox
from ..session.unread import Unread
from .messages import BusFrameMessage
from .worker import Worker

_ROUNDING_S: Final = 1e-6


@final
@define(eq=False)
class CallOutput(trio.abc.SendChannel[Frame]):
    """The handler's way to the caller."""

    _worker: Worker
    _target: str
    _bridge: str | None
    _max_ahead_s: float
    _ended: bool = field(default=False, init=False)
    _gone: bool = field(default=False, init=False)
    _plays_until_s: float = field(default=0.0, init=False)
    _interruptions: int = field(default=0, init=False)
    _waiting: ParkingLot = field(factory=ParkingLot, init=False)
    """Those with audio that is too far ahead."""

    async def send(self, frame: Frame) -> None:
        """Send a frame; with audio, wait while too much is ahead. Cancelled, it was not sent.

        Audio that waited when an interruption was sent is dropped, unless its ``interruptible`` is False.
        """
        await self._check()
        if isinstance(frame, AudioFrame):
            interruptions = self._interruptions
            while (early_s := self._ends_at_s(frame) - self._max_ahead_s - trio.current_time()) > _ROUNDING_S:
                with trio.move_on_after(early_s):
                    await self._waiting.park()
                await self._check()
                if self._interruptions != interruptions and frame.interruptible:
                    return
            self._plays_until_s = self._ends_at_s(frame)
        elif isinstance(frame, InterruptionFrame):
            self._plays_until_s = trio.current_time()
            self._interruptions += 1
            self._waiting.unpark_all()
        await self._worker.send(
            BusFrameMessage(source=self._worker.name, target=self._target, frame=frame, bridge=self._bridge)
        )
        if isinstance(frame, EndFrame | CancelFrame):
            self._ended = True

    def _ends_at_s(self, frame: AudioFrame) -> float:
        return max(trio.current_time(), self._plays_until_s) + frame.duration_s

    async def _check(self) -> None:
        if self._gone:
            await trio.lowlevel.checkpoint()
            raise ConnectionClosed(1000, "the call is over", initiator="remote")
        if self._ended:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("the call's output was ended")

    async def send_message(self, message: JSONValue, urgent: bool = False) -> None:
        await self.send(MessageFrame(message=message, urgent=urgent))

    async def interrupt(self) -> None:
        await self.send(InterruptionFrame())

    async def end(self, reason: str | None = None) -> None:
        """End the call in good order: what was sent is played first. A second call does nothing."""
        if self._ended or self._gone:
            await trio.lowlevel.checkpoint()
        else:
            await self.send(EndFrame(reason=reason))

    async def aclose(self) -> None:
        await self.end()

    async def _say_goodbye(self, frame: Frame) -> None:
        """Tell the other side that the call is over, unless one of the two has."""
        if not self._ended and not self._gone:
            await self.send(frame)

    def _over(self) -> None:
        """The other side has ended the call."""
        self._gone = True
        self._waiting.unpark_all()


@documented
@final
@define(eq=False)
class BridgedCall:
    """One session that is somewhere else."""

    id: str
    """Its name on the bus."""
    start: StartFrame
    """What was told of the caller; empty where nothing was."""
    _unread: Unread
    input: Inbox = field(init=False)
    """What the caller sends, as ``session.input`` is."""
    output: CallOutput
    """What is sent to the caller, as ``session.output`` is."""
    last_frame_s: float
    """When something was heard of it last, in seconds of trio's clock."""
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    """What ends its handler."""

    def __attrs_post_init__(self) -> None:
        self.input = Inbox(self._unread)

    def __repr__(self) -> str:
        return f"<BridgedCall {self.id!r}>"

    def _take(self, frame: Frame) -> str:
        """Give the handler a frame of the caller; when it cannot be, say why."""
        self.last_frame_s = trio.current_time()
        if isinstance(frame, AudioFrame):
            self._unread.put_audio(frame)
            return ""
        return self._unread.put(frame)

    def _over(self) -> None:
        """The other side has ended the call, or has died: nothing more comes of it, and nothing goes there."""
        self.output._over()
        self._unread.end()

    def _shut(self) -> None:
        """The handler has returned: what is unread is nobody's."""
        self._unread.shut()
