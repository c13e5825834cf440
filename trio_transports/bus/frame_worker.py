"""A worker that serves bridged sessions: one handler call, in one nursery, for each caller.

Rules
1. A call begins with its ``StartFrame``, as ``bridge`` sends it, or with the first frame of a source that never sent
   one, as a Pipecat bridge does not. It runs ``handler`` with an object that has a session's ``input`` and ``output``.
   Frames come in that are addressed to this worker, or to nobody, and have its ``bridge`` name, or none if it has none.
2. The call ends for the handler as a session does: its ``input`` ends after an ``EndFrame`` or ``CancelFrame`` of the
   other side, or after ``idle_timeout`` without any frame (the other side may have died without a word).
3. When the handler returns the other side is told an ``EndFrame``, when it fails a ``CancelFrame``; the failure is
   logged, and the other calls go on.
4. Past ``max_calls`` a new call is answered with a ``CancelFrame``.
5. Audio is not sent more than ``max_ahead_s`` ahead of the time it takes to play: ``send`` waits. An interruption
   starts anew, and what waited is dropped.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, final

import trio
from attrs import define, field

from .._documented import documented
from ..frames import CancelFrame, EndFrame, Frame, StartFrame
from ..session.statistics import Counters
from ..session.unread import Unread
from ..transports.server import is_normal_end
from .bridged_call import BridgedCall as BridgedCall
from .bridged_call import CallOutput
from .bus import GOODBYE_S
from .calls import Calls
from .messages import BusFrameMessage, BusMessage, CustomFrame
from .worker import Worker

INBOX_AUDIO_S: Final = 5.0
IDLE_TIMEOUT: Final = 300.0
MAX_AHEAD_S: Final = 30.0
MAX_CALLS: Final = 1000

logger = logging.getLogger(__name__)


CallHandler: TypeAlias = Callable[[BridgedCall], Awaitable[None]]


@documented
@final
@define(eq=False, repr=False, slots=False)
class FrameWorker(Worker):
    """Serves callers that are somewhere else: those of ``bridge``, and those of a Pipecat ``BusBridgeProcessor``."""

    _handler: CallHandler
    """``async def handler(call)``, run once for each caller."""
    _bridge: str | None = field(default=None, kw_only=True)
    """Serve the callers of this bridge only; None: all that come."""
    _max_calls: int = field(default=MAX_CALLS, kw_only=True)
    """How many calls there may be at once; one more is refused."""
    _idle_timeout: float = field(default=IDLE_TIMEOUT, kw_only=True)
    """Seconds without a frame after which a call is over: its other end may be gone without a word."""
    _max_ahead_s: float = field(default=MAX_AHEAD_S, kw_only=True)
    """How many seconds of audio may be sent ahead of its time; then ``send`` waits."""
    bridged: bool = field(default=True, init=False)
    """True: it serves callers that are somewhere else."""
    _calls: Calls = field(factory=Calls, init=False)

    @property
    def calls(self) -> tuple[BridgedCall, ...]:
        """The calls that are under way."""
        return self._calls.under_way

    def accepts(self, message: BusMessage) -> bool:
        return (
            isinstance(message, BusFrameMessage)
            and message.source != self.name
            and not isinstance(message.frame, CustomFrame)
            and message.target in (self.name, None)
            and message.bridge == self._bridge
        )

    async def main(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_idle)
            while True:
                while (call := self._calls.next_begun()) is not None:
                    nursery.start_soon(self._serve, call)
                await self._calls.one_begins()

    async def on_bus_message(self, message: BusMessage) -> None:
        if not isinstance(message, BusFrameMessage) or isinstance(message.frame, CustomFrame):
            return
        call = self._calls.of(message.source)
        if call is None:
            await self._new_call(message, message.frame)
        else:
            self._to_call(call, message.frame)

    async def on_end(self, reason: str | None) -> None:
        for call in self.calls:
            await call.output.end(reason)

    async def _new_call(self, message: BusFrameMessage, frame: Frame) -> None:
        if not self._calls.may_begin(message.source, frame):
            return  # the rest of a call that is over
        if self._calls.handlers >= self._max_calls:
            busy = CancelFrame(reason=f"all {self._max_calls} calls are taken")
            await self.send(BusFrameMessage(source=self.name, target=message.source, frame=busy, bridge=self._bridge))
            return
        call = BridgedCall(
            id=message.source,
            start=frame if isinstance(frame, StartFrame) else StartFrame(stream_id=message.source),
            unread=Unread(INBOX_AUDIO_S, Counters(), True),
            output=CallOutput(self, message.source, self._bridge, self._max_ahead_s),
            last_frame_s=trio.current_time(),
        )
        self._calls.begin(call)
        if not isinstance(frame, StartFrame):
            self._to_call(call, frame)

    def _to_call(self, call: BridgedCall, frame: Frame) -> None:
        if call._take(frame):  # it says why it cannot
            logger.warning("%s: the handler of %r reads nothing; its call is ended", self.name, call.id[:100])
            call.scope.cancel()
        if isinstance(frame, EndFrame | CancelFrame):
            self._calls.over(call)

    async def _serve(self, call: BridgedCall) -> None:
        goodbye: Frame = CancelFrame(reason="the call was cancelled")
        try:
            with call.scope:
                await self._handler(call)
            if not call.scope.cancelled_caught:
                goodbye = EndFrame()
        except Exception as exc:  # the boundary between one call and the worker
            # With its call alive it is another connection that the handler has lost, one of its own.
            if not call.output._gone or not is_normal_end(exc):
                logger.exception("%s: the handler of %r failed; its call has ended", self.name, call.id[:100])
                goodbye = CancelFrame(reason="the handler failed")
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE_S):
                await call.output._say_goodbye(goodbye)
            self._calls.handled(call)

    async def _watch_idle(self) -> None:
        while True:
            await trio.sleep(self._idle_timeout / 4)
            silent_since_s = trio.current_time() - self._idle_timeout
            for call in self.calls:
                if call.last_frame_s < silent_since_s:
                    logger.warning(
                        "%s: nothing from %r for %g s; its call is over", self.name, call.id[:100], self._idle_timeout
                    )
                    self._calls.over(call)
