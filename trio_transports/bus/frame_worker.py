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
   starts anew.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, final

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
from ..session.statistics import Counters
from ..session.unread import Unread
from ..transports.server import is_normal_end
from .messages import BusFrameMessage, BusMessage, CustomFrame
from .worker import Worker

INBOX_AUDIO_S: Final = 5.0
IDLE_TIMEOUT: Final = 300.0
MAX_AHEAD_S: Final = 30.0
MAX_CALLS: Final = 1000
MAX_ANNOUNCED: Final = 4096
GOODBYE_S: Final = 1.0

log = logging.getLogger(__name__)


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

    async def send(self, frame: Frame) -> None:
        """Send a frame; with audio, wait while too much is ahead. Cancelled, it was not sent."""
        if self._gone:
            await trio.lowlevel.checkpoint()
            raise ConnectionClosed(1000, "the call is over", initiator="remote")
        if self._ended:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("the call's output was ended")
        now_s = trio.current_time()
        if isinstance(frame, AudioFrame):
            until_s = max(now_s, self._plays_until_s) + frame.duration_s
            if until_s - now_s > self._max_ahead_s:
                await trio.sleep(until_s - now_s - self._max_ahead_s)
            self._plays_until_s = until_s
        elif isinstance(frame, InterruptionFrame):
            self._plays_until_s = now_s
        await self._worker.send(
            BusFrameMessage(source=self._worker.name, target=self._target, frame=frame, bridge=self._bridge)
        )
        if isinstance(frame, EndFrame | CancelFrame):
            self._ended = True

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
    _calls: dict[str, BridgedCall] = field(factory=dict, init=False)
    _handled: set[BridgedCall] = field(factory=set, init=False)
    """Calls whose handler runs, among them some that are over for the other side."""
    _announced: OrderedDict[str, None] = field(factory=OrderedDict, init=False)
    """Callers that begin with a ``StartFrame``: what else comes of them is the rest of a call that is over."""
    _begun: ParkingLot = field(factory=ParkingLot, init=False)
    _waiting: deque[BridgedCall] = field(factory=deque, init=False)

    @property
    def calls(self) -> tuple[BridgedCall, ...]:
        """The calls that are under way."""
        return tuple(self._calls.values())

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
                while self._waiting:
                    nursery.start_soon(self._serve, self._waiting.popleft())
                await self._begun.park()

    async def on_bus_message(self, message: BusMessage) -> None:
        if not isinstance(message, BusFrameMessage) or isinstance(message.frame, CustomFrame):
            return
        call = self._calls.get(message.source)
        if call is None:
            await self._new_call(message, message.frame)
        else:
            self._to_call(call, message.frame)

    async def on_end(self, reason: str | None) -> None:
        for call in self.calls:
            await call.output.end(reason)

    async def _new_call(self, message: BusFrameMessage, frame: Frame) -> None:
        is_start = isinstance(frame, StartFrame)
        if is_start:
            self._announced[message.source] = None
            if len(self._announced) > MAX_ANNOUNCED:
                self._announced.popitem(last=False)
        elif message.source in self._announced or isinstance(frame, EndFrame | CancelFrame):
            return  # the rest of a call that is over
        if len(self._handled) >= self._max_calls:
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
        self._calls[call.id] = call
        self._handled.add(call)
        if not is_start:
            self._to_call(call, frame)
        self._waiting.append(call)
        self._begun.unpark_all()

    def _to_call(self, call: BridgedCall, frame: Frame) -> None:
        call.last_frame_s = trio.current_time()
        if isinstance(frame, AudioFrame):
            call._unread.put_audio(frame)
        elif call._unread.put(frame):  # it says why it cannot
            log.warning("%s: the handler of %r reads nothing; its call is ended", self.name, call.id[:100])
            call.scope.cancel()
        if isinstance(frame, EndFrame | CancelFrame):
            self._end_input(call)

    def _end_input(self, call: BridgedCall) -> None:
        # From here on the name is free: the caller may come back with a call of the same name.
        if self._calls.get(call.id) is call:
            del self._calls[call.id]
        call.output._over()
        call._unread.end()

    async def _serve(self, call: BridgedCall) -> None:
        goodbye: Frame = CancelFrame(reason="the call was cancelled")
        try:
            with call.scope:
                await self._handler(call)
            if not call.scope.cancelled_caught:
                goodbye = EndFrame()
        except Exception as exc:  # the boundary between one call and the worker
            if not is_normal_end(exc):
                log.exception("%s: the handler of %r failed; its call has ended", self.name, call.id[:100])
                goodbye = CancelFrame(reason="the handler failed")
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE_S):
                await call.output._say_goodbye(goodbye)
            self._end_input(call)
            call._unread.shut()
            self._handled.discard(call)

    async def _watch_idle(self) -> None:
        while True:
            await trio.sleep(self._idle_timeout / 4)
            silent_since_s = trio.current_time() - self._idle_timeout
            for call in self.calls:
                if call.last_frame_s < silent_since_s:
                    log.warning(
                        "%s: nothing from %r for %g s; its call is over", self.name, call.id[:100], self._idle_timeout
                    )
                    self._end_input(call)
