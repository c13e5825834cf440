"""The queue between two stages, and how an interruption overtakes what is in it."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import final

import trio
from attrs import define, evolve, field
from trio.lowlevel import ParkingLot

from ..frames import AudioFrame, Frame, InterruptionFrame


class StageGone(trio.BrokenResourceError):
    """The stage that read this link has returned."""


@final
@define(eq=False)
class Link:
    """The queue in front of one task. Every method but ``take`` and ``put`` is synchronous."""

    index: int
    capacity: int
    before: "Link | None"
    frames: deque[Frame] = field(factory=deque, init=False)
    interruption: InterruptionFrame | None = field(default=None, init=False)
    """Waiting to be read. A second one takes the place of the first: nothing lies between them."""
    delivered: InterruptionFrame | None = field(default=None, init=False)
    interruptions: int = field(default=0, init=False)
    delivery: trio.CancelScope | None = field(default=None, init=False)
    """Set by the output's task, whose sending an interruption may overtake."""
    is_ended: bool = field(default=False, init=False)
    is_read: bool = field(default=True, init=False)
    # Audio that did not wait for room, and takes none from others: it is bounded by its duration.
    _live_frames: int = field(default=0, init=False)
    _live_s: float = field(default=0.0, init=False)
    _readers: ParkingLot = field(factory=ParkingLot, init=False)
    _writers: ParkingLot = field(factory=ParkingLot, init=False)

    def interrupt(self, frame: InterruptionFrame) -> None:
        self.interruption = frame
        self.interruptions += 1
        self.frames = deque(each for each in self.frames if not isinstance(each, AudioFrame))
        self._live_frames, self._live_s = 0, 0.0
        if self.delivery is not None:
            self.delivery.cancel()
        self._readers.unpark()
        self._writers.unpark_all()

    def check_open(self) -> None:
        if self.is_ended:
            raise trio.ClosedResourceError("this stage has closed its output")

    def _check(self) -> None:
        self.check_open()
        if not self.is_read:
            raise StageGone("the next stage has returned: nothing reads what is sent")

    def _is_stale(self, since: int) -> bool:
        return self.interruptions != since or (self.before is not None and self.before.interruption is not None)

    async def put(self, frame: Frame) -> None:
        """Queue a frame, when there is room. Cancelled, it has queued nothing."""
        await trio.lowlevel.checkpoint_if_cancelled()
        since, parked = self.interruptions, False
        while True:
            self._check()
            if isinstance(frame, AudioFrame) and self._is_stale(since):
                break
            if len(self.frames) - self._live_frames < self.capacity:
                self.frames.append(frame)
                if self._readers:
                    self._readers.unpark()
                break
            await self._writers.park()
            parked = True
        if not parked:
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def put_live(self, frame: AudioFrame, limit_s: float) -> bool:
        """Queue audio without waiting for room; True when older audio had to be dropped for it."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check()
        self.frames.append(frame)
        self._live_frames += 1
        self._live_s += frame.duration_s
        if self._readers:
            self._readers.unpark()
        is_late = self._live_s > limit_s + 1e-6  # a sum of floats
        while self._live_s > limit_s + 1e-6:
            oldest = next(index for index, each in enumerate(self.frames) if isinstance(each, AudioFrame))
            dropped = self.frames[oldest]
            assert isinstance(dropped, AudioFrame)
            self._live_frames -= 1
            self._live_s -= dropped.duration_s
            del self.frames[oldest]
        await trio.lowlevel.cancel_shielded_checkpoint()
        return is_late

    async def take(self) -> Frame:
        """Wait for the next frame; an interruption comes first. Cancelled, it has taken nothing."""
        await trio.lowlevel.checkpoint_if_cancelled()
        parked = False
        while self.is_read:
            if self.interruption is not None:
                frame: Frame = self.interruption
                self.delivered, self.interruption = self.interruption, None
            elif self.frames:
                frame = self.frames.popleft()
                if self._live_frames and isinstance(frame, AudioFrame):
                    self._live_frames -= 1
                    self._live_s = self._live_s - frame.duration_s if self._live_frames else 0.0
                if self._writers:
                    self._writers.unpark()
            elif self.is_ended:
                raise trio.EndOfChannel
            else:
                await self._readers.park()
                parked = True
                continue
            if not parked:
                await trio.lowlevel.cancel_shielded_checkpoint()
            return frame
        raise trio.ClosedResourceError("this stage has closed its input")

    def end(self) -> None:
        self.is_ended = True
        self._readers.unpark_all()
        self._writers.unpark_all()

    def stop_reading(self) -> None:
        self.is_read = False
        self.frames.clear()
        self._readers.unpark_all()
        self._writers.unpark_all()


@final
@define(eq=False)
class Input(trio.abc.ReceiveChannel[Frame]):
    """A stage's input. Cancelling ``receive`` loses nothing."""

    _link: Link
    _on_close: Callable[[], None]

    async def receive(self) -> Frame:
        return await self._link.take()

    async def aclose(self) -> None:
        self._on_close()
        await trio.lowlevel.checkpoint()


@final
@define(eq=False)
class Output(trio.abc.SendChannel[Frame]):
    """A stage's output. A cancelled ``send`` has sent nothing."""

    _links: "Links"
    _link: Link

    async def send(self, value: Frame) -> None:
        if not isinstance(value, InterruptionFrame):
            await self._link.put(value)
            return
        await trio.lowlevel.checkpoint()
        self._link.check_open()
        self._links.interrupt(self._link.index, value)

    async def aclose(self) -> None:
        self._link.end()
        await trio.lowlevel.checkpoint()


@final
@define(eq=False)
class Links:
    """All links of one run, in order."""

    all: Sequence[Link]
    source: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def interrupt(self, index: int, frame: InterruptionFrame) -> None:
        """Interrupt from link ``index`` on, unless the sender only passes on what every link after it has had."""
        if index and self.all[index - 1].delivered is frame:
            return
        # A value of its own, so that one object sent twice is two interruptions.
        frame = evolve(frame)
        for link in self.all[index:]:
            link.interrupt(frame)

    def leave(self, index: int) -> None:
        """Nobody reads link ``index`` any more: if frames could still come, they need not."""
        link = self.all[index]
        early = not link.is_ended
        link.stop_reading()
        if early:
            self.source.cancel()
