"""A session's frames onto the bus and back: the call is here, and who serves it is a worker somewhere else.

Rules
1. ``bridge`` runs in the session's handler, under a name of its own on the bus. What comes from the caller goes to
   ``worker`` with the role "input"; what ``worker`` sends to the name goes to the caller.
2. The worker is told a ``StartFrame`` first and, when the session is over, an ``EndFrame`` (a ``CancelFrame`` if the
   bridge was cancelled or failed). A worker that sends one of the two ends the call. ``exclude_frames`` keeps frames
   off the bus: ``LIFECYCLE_FRAMES`` for a Pipecat pipeline, which would end with the first caller.
3. An ``InterruptionFrame`` of the worker's overtakes what it sent before and still waits here, which is dropped.
4. What waits here for the session is bounded: ``MAX_AUDIO_S`` and ``MAX_AUDIO_BYTES`` of audio, ``MAX_FRAMES`` and
   ``MAX_BYTES`` of others, the oldest dropped. A frame of audio counts as ``LEAST_S`` at least, so that those with next
   to nothing in them are bounded too.
5. A session's frames go to the bus where they are taken from the wire, if bus and session can do without waiting, and
   nobody has much to read from the bus: a full subscription loses its oldest messages.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol, final, runtime_checkable

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from .._nursery import open_services
from ..errors import ConnectionClosed
from ..frames import AudioFrame, CancelFrame, EndFrame, Frame, InterruptionFrame, StartFrame
from ..frames.audio import counted_s
from ..pipeline.at_once import HandsFramesOver
from .bus import GOODBYE_S, Bus
from .messages import BusFrameMessage, BusMessage, CustomFrame
from .subscription import BusSubscription
from .weight import frame_weight

MAX_AUDIO_S: Final = 60.0
MAX_AUDIO_BYTES: Final = 16 * 1024 * 1024
"""A minute in stereo at 48 kHz, in frames of 10 ms."""
MAX_FRAMES: Final = 1024
MAX_BYTES: Final = 16 * 1024 * 1024
LIFECYCLE_FRAMES: Final = (StartFrame, EndFrame, CancelFrame)
"""The frames that begin and end a call, which would end a Pipecat pipeline for all its callers."""

FrameTypes = Sequence[type[Any]]


class Bridged(Protocol):
    """A session, or whatever else takes frames on one channel and gives them on another."""

    @property
    def input(self) -> trio.abc.ReceiveChannel[Frame]: ...

    @property
    def output(self) -> trio.abc.SendChannel[Frame]: ...


@runtime_checkable
class Crowds(Protocol):
    """A bus on which some may have much to read."""

    @property
    def _is_crowded(self) -> bool:
        """Somebody has to read before more is sent: ``send`` lets him."""


async def bridge(
    session: Bridged,
    bus: Bus,
    *,
    name: str,
    worker: str | None,
    bridge: str | None = None,
    start: StartFrame | None = None,
    exclude_frames: FrameTypes = (),
) -> None:
    """Join ``session`` to ``worker`` until one of them ends the call.

    ``name`` must be the call's own: it is whom the worker answers. ``worker`` None is every worker that listens to
    ``bridge``, Pipecat's name for one of several bridges. ``start`` is what the worker is told of the caller.

    Frames of the types ``exclude_frames`` do not cross.
    """
    ends = _Ends(session, bus, name, worker, bridge, tuple(exclude_frames))
    subscription = bus.subscribe(name, accepts=ends.accepts)
    goodbye: Frame = CancelFrame(reason="the bridge was cancelled or failed")
    try:
        await ends.to_bus(start if start is not None else StartFrame(stream_id=name))
        async with open_services() as services:
            services.start_soon(ends.read_bus, subscription, name=f"{name} from the bus")
            services.start_soon(ends.write_session, name=f"{name} to the session")
            with ends.scope:
                await ends.read_session()
        goodbye = EndFrame()
    finally:
        subscription.close()
        if not ends.worker_ended:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE_S):
                await ends.to_bus(goodbye)


@final
@define(eq=False)
class _Ends:
    """What joins the two ends of one bridge."""

    _session: Bridged
    _bus: Bus
    _name: str
    _worker: str | None
    _bridge: str | None
    _excluded: tuple[type[Any], ...]
    scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    worker_ended: bool = field(default=False, init=False)
    _waiting: "WaitingFrames" = field(init=False)
    _crowds: Crowds | None = field(init=False)
    _sending: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def __attrs_post_init__(self) -> None:
        self._waiting = WaitingFrames()
        self._crowds = self._bus if isinstance(self._bus, Crowds) else None

    def accepts(self, message: BusMessage) -> bool:
        return (
            isinstance(message, BusFrameMessage)
            and message.source != self._name
            and (self._worker is None or message.source == self._worker)
            and message.target in (self._name, None)
            and message.bridge == self._bridge
        )

    async def read_session(self) -> None:
        source = self._session.input
        if not isinstance(source, HandsFramesOver):
            async for frame in source:
                await self.to_bus(frame)
            return
        while True:
            try:
                left = await source._receive_or(self._to_bus_now)
            except trio.EndOfChannel:
                return
            if left is not None:
                await self.to_bus(left)

    async def to_bus(self, frame: Frame) -> None:
        if not isinstance(frame, self._excluded):
            await self._bus.send(self._message(frame))

    def _to_bus_now(self, frame: Frame) -> bool:
        """Rule 5; False: it has to wait for its turn."""
        if isinstance(frame, self._excluded):
            return True
        crowds = self._crowds
        return not (crowds is not None and crowds._is_crowded) and self._bus.send_now(self._message(frame))

    def _message(self, frame: Frame) -> BusFrameMessage:
        return BusFrameMessage(source=self._name, target=self._worker, frame=frame, bridge=self._bridge, role="input")

    async def read_bus(self, subscription: BusSubscription) -> None:
        """Take what the worker sends, without ever waiting for the session."""
        async for message in subscription:
            if not isinstance(message, BusFrameMessage) or isinstance(message.frame, CustomFrame):
                continue
            if isinstance(message.frame, self._excluded):
                continue
            if isinstance(message.frame, InterruptionFrame):
                self._waiting.clear()
                self._sending.cancel()
            self._waiting.put(message.frame)
        self.scope.cancel()  # the bus has ended

    async def write_session(self) -> None:
        while True:
            frame = await self._waiting.get()
            try:
                with trio.CancelScope() as self._sending:
                    await self._session.output.send(frame)
            except (ConnectionClosed, trio.ClosedResourceError):
                return  # the session is over; its input says so too
            if isinstance(frame, EndFrame | CancelFrame):
                self.worker_ended = True
                self.scope.cancel()
                return


@final
@define(eq=False)
class WaitingFrames:
    """Frames on their way to a session: one reader, and a bound that drops the oldest."""

    dropped: int = field(default=0, init=False)
    _frames: deque[tuple[Frame, int]] = field(factory=deque, init=False)
    """Each with its weight."""
    _audio_s: float = field(default=0.0, init=False)
    _audio_bytes: int = field(default=0, init=False)
    _others: int = field(default=0, init=False)
    _bytes: int = field(default=0, init=False)
    _reader: ParkingLot = field(factory=ParkingLot, init=False)

    def put(self, frame: Frame) -> None:
        size_bytes = frame_weight(frame)
        self._frames.append((frame, size_bytes))
        self._count(frame, size_bytes, 1)
        while (self._audio_s > MAX_AUDIO_S or self._audio_bytes > MAX_AUDIO_BYTES) and self._drop(audio=True):
            pass
        while (self._others > MAX_FRAMES or self._bytes > MAX_BYTES) and self._drop(audio=False):
            pass
        self._reader.unpark()

    async def get(self) -> Frame:
        """The oldest frame; waits for one. Cancelling it takes none."""
        await trio.lowlevel.checkpoint()
        while not self._frames:
            await self._reader.park()
        frame, size_bytes = self._frames.popleft()
        self._count(frame, size_bytes, -1)
        return frame

    def clear(self) -> None:
        self.dropped += len(self._frames)
        self._frames.clear()
        self._audio_s, self._audio_bytes, self._others, self._bytes = 0.0, 0, 0, 0

    def _count(self, frame: Frame, size_bytes: int, sign: int) -> None:
        if isinstance(frame, AudioFrame):
            self._audio_s = self._audio_s + sign * counted_s(frame) if self._frames else 0.0
            self._audio_bytes += sign * size_bytes
        else:
            self._others += sign
            self._bytes += sign * size_bytes

    def _drop(self, *, audio: bool) -> bool:
        """Drop the oldest of its kind, unless it is the newest frame of all."""
        for index, (frame, size_bytes) in enumerate(self._frames):
            if isinstance(frame, AudioFrame) is audio and index + 1 < len(self._frames):
                del self._frames[index]
                self._count(frame, size_bytes, -1)
                self.dropped += 1
                return True
        return False
