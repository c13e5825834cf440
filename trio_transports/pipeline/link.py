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
    audio_s: float = field(default=0.0, init=False)
    interruption: InterruptionFrame | None = field(default=None, init=False)
    """Waiting to be read. A second one takes the place of the first: nothing lies between them."""
    delivered: InterruptionFrame | None = field(default=None, init=False)
    interruptions: int = field(default=0, init=False)
    delivery: trio.CancelScope | None = field(default=None, init=False)
    """Set by the output's task around a send that an interruption may overtake."""
    is_ended: bool = field(default=False, init=False)
    is_read: bool = field(default=True, init=False)
    _readers: ParkingLot = field(factory=ParkingLot, init=False)
    _writers: ParkingLot = field(factory=ParkingLot, init=False)

    def _append(self, frame: Frame) -> None:
        if isinstance(frame, AudioFrame):
            self.audio_s += frame.duration_s
        self.frames.append(frame)
        self._readers.unpark()

    def drop_oldest_audio(self, limit_s: float) -> float:
        """Drop until no more than ``limit_s`` is queued; give the seconds dropped."""
        before_s = self.audio_s
        while self.audio_s > limit_s + 1e-6:  # a sum of floats
            oldest = next(index for index, frame in enumerate(self.frames) if isinstance(frame, AudioFrame))
            audio = self.frames[oldest]
            assert isinstance(audio, AudioFrame)
            self.audio_s -= audio.duration_s
            del self.frames[oldest]
        return before_s - self.audio_s

    def interrupt(self, frame: InterruptionFrame) -> None:
        self.interruption = frame
        self.interruptions += 1
        self.frames = deque(each for each in self.frames if not isinstance(each, AudioFrame))
        self.audio_s = 0.0
        if self.delivery is not None:
            self.delivery.cancel()
        self._readers.unpark()
        self._writers.unpark_all()

    def _is_stale(self, since: int) -> bool:
        return self.interruptions != since or (self.before is not None and self.before.interruption is not None)

    async def put(self, frame: Frame, *, wait: bool = True) -> None:
        since = self.interruptions
        await trio.lowlevel.checkpoint()
        while True:
            if self.is_ended:
                raise trio.ClosedResourceError("this stage has closed its output")
            if not self.is_read:
                raise StageGone("the next stage has returned: nothing reads what is sent")
            if isinstance(frame, AudioFrame) and self._is_stale(since):
                return
            if not wait or len(self.frames) < self.capacity:
                self._append(frame)
                return
            await self._writers.park()

    async def take(self) -> Frame:
        await trio.lowlevel.checkpoint()
        while self.is_read:
            if self.interruption is not None:
                self.delivered, self.interruption = self.interruption, None
                return self.delivered
            if self.frames:
                frame = self.frames.popleft()
                if isinstance(frame, AudioFrame):
                    self.audio_s = self.audio_s - frame.duration_s if self.frames else 0.0
                self._writers.unpark()
                return frame
            if self.is_ended:
                raise trio.EndOfChannel
            await self._readers.park()
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
