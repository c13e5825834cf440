"""The queue between two stages, and how an interruption overtakes what is in it.

Rules
1. An interruption is the next that is taken. What of the old turn was queued is dropped (see ``turns``), and so is what
   the stage before sends until it has taken the interruption itself, or, if that is a pipeline, acted on it.
2. Facts wait for no room, up to ``FACTS_AHEAD`` of them: passed on at once, none is lost to a stage that is cancelled.
3. Nothing follows an ``EndFrame``: what is sent after it is dropped.
4. Every frame that is dropped is told to the output, if that counts them.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, final

import trio
from attrs import define, evolve, field
from trio.lowlevel import ParkingLot

from ..frames import AudioFrame, CancelFrame, EndFrame, Frame, InterruptionFrame, Played
from ..frames.audio import counted_s
from .turns import FACTS, heard_of, outlives_interruption, playback_of

FACTS_AHEAD: Final = 1024
REMEMBERED: Final = 64
_IDLE_ROUNDS: Final = 3
"""Scheduling rounds after which a reader is busy with something else."""


class StageGone(trio.BrokenResourceError):
    """The stage that read this link has returned."""


@final
@define(eq=False)
class LiveAudio:
    """What waits of audio that did not wait for room, and takes none from others: it is bounded by its duration.

    A frame counts as ``LEAST_S`` at least, so that those with next to nothing in them are bounded too.
    """

    frames: int = 0
    seconds: float = 0.0

    @classmethod
    def among(cls, frames: Sequence[Frame]) -> "LiveAudio":
        audio = [each for each in frames if isinstance(each, AudioFrame)]
        return cls(len(audio), sum(map(counted_s, audio)))

    def put(self, frame: AudioFrame) -> None:
        self.frames += 1
        self.seconds += counted_s(frame)

    def take(self, frame: AudioFrame) -> None:
        self.frames -= 1
        self.seconds = self.seconds - counted_s(frame) if self.frames else 0.0  # nothing is exactly nothing


@final
@define(eq=False)
class StageLink:
    """The queue in front of one task. Every method but ``take`` and ``put`` is synchronous."""

    capacity: int
    before: "StageLink | None"
    dropped: Callable[[Frame], None]
    frames: deque[Frame] = field(factory=deque, init=False)
    interruption: InterruptionFrame | None = field(default=None, init=False)
    """Waiting to be read. A second one takes the place of the first: nothing lies between them."""
    interruptions: int = field(default=0, init=False)
    is_being_interrupted: bool = field(default=False, init=False)
    """The reader has taken an interruption, and is still in the old turn."""
    turn: trio.CancelScope | None = field(default=None, init=False)
    """What the reader does for the present turn: an interruption cancels it."""
    is_ended: bool = field(default=False, init=False)
    is_read: bool = field(default=True, init=False)
    _end_was_sent: bool = field(default=False, init=False)
    _live: LiveAudio = field(factory=LiveAudio, init=False)
    _readers: ParkingLot = field(factory=ParkingLot, init=False)
    _writers: ParkingLot = field(factory=ParkingLot, init=False)

    def interrupt(self, frame: InterruptionFrame) -> None:
        """Put an interruption ahead of everything, drop the old turn's frames and cancel its work (rule 1)."""
        self.interruption = frame
        self.interruptions += 1
        kept = [each for each in self.frames if self._keep(each)]
        self.frames = deque(kept)
        if self._live.frames:
            self._live = LiveAudio.among(kept)
        if self.turn is not None:
            self.turn.cancel()
        self._readers.unpark()
        self._writers.unpark_all()

    def _keep(self, frame: Frame) -> bool:
        if outlives_interruption(frame):
            return True
        self.dropped(frame)
        return False

    def check_open(self) -> None:
        if self.is_ended:
            raise trio.ClosedResourceError("this stage has closed its output")

    def _check(self) -> None:
        self.check_open()
        if not self.is_read:
            raise StageGone("the next stage has returned: nothing reads what is sent")

    def _is_stale(self, since: int) -> bool:
        if self.interruptions != since:
            return True
        before = self.before
        return before is not None and (before.interruption is not None or before.is_being_interrupted)

    async def put(self, frame: Frame) -> None:
        """Queue a frame, when there is room. Cancelled, it has queued nothing."""
        await trio.lowlevel.checkpoint_if_cancelled()
        since, parked = self.interruptions, False
        while True:
            self.check_open()
            if self._end_was_sent:  # rule 3, also when nobody reads any more: whoever said goodbye may still work
                self.dropped(frame)
                break
            self._check()
            if self._is_stale(since) and not self._keep(frame):  # rule 1
                break
            waiting = len(self.frames) - self._live.frames
            if waiting < self.capacity or (type(frame) in FACTS and waiting < self.capacity + FACTS_AHEAD):  # rule 2
                self.frames.append(frame)
                self._end_was_sent = isinstance(frame, EndFrame)
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
        live = self._live
        live.put(frame)
        if self._readers:
            self._readers.unpark()
        is_late = live.seconds > limit_s + 1e-6  # a sum of floats
        while live.seconds > limit_s + 1e-6:
            oldest = next(index for index, each in enumerate(self.frames) if isinstance(each, AudioFrame))
            late = self.frames[oldest]
            assert isinstance(late, AudioFrame)
            live.take(late)
            del self.frames[oldest]
            self.dropped(late)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return is_late

    async def take(self) -> Frame:
        """Wait for the next frame; an interruption comes first. Cancelled, it has taken nothing."""
        await trio.lowlevel.checkpoint_if_cancelled()
        has_waited = False
        while self.is_read:
            if self.interruption is None and not self.frames and not self.is_ended:
                await self._readers.park()
                has_waited = True
                continue
            if not has_waited:
                # Before anything is taken and not after, so that what is taken is still the next when it is read.
                await trio.lowlevel.cancel_shielded_checkpoint()
                has_waited = True
                continue
            if self.interruption is not None:
                interruption, self.interruption = self.interruption, None
                return interruption
            if self.frames:
                return self._pop()
            raise trio.EndOfChannel
        raise trio.ClosedResourceError("this stage has closed its input")

    @property
    def is_idle(self) -> bool:
        """Whether its reader waits, and nothing is on its way to it."""
        return bool(self._readers) and not self.frames and self.interruption is None and not self.is_ended

    async def let_read(self) -> None:
        """Give a reader that keeps up the time to take what is queued: it is no part of what is interrupted."""
        idle = 0
        while self.frames and idle < _IDLE_ROUNDS:
            waiting = len(self.frames)
            await trio.lowlevel.checkpoint()
            idle = 0 if len(self.frames) < waiting else idle + 1

    def _pop(self) -> Frame:
        frame = self.frames.popleft()
        if self._live.frames and isinstance(frame, AudioFrame):
            self._live.take(frame)
        if self._writers:
            self._writers.unpark()
        return frame

    def end(self) -> None:
        """Nothing more will be put: the reader ends once it has taken what waits."""
        self.is_ended = True
        self._readers.unpark_all()
        self._writers.unpark_all()

    def stop_reading(self) -> None:
        """The reader has gone: what waits is dropped, and who puts is told by ``StageGone``."""
        self.is_read = False
        for frame in self.frames:
            self.dropped(frame)
        self.frames.clear()
        self._readers.unpark_all()
        self._writers.unpark_all()


@final
@define(eq=False)
class StageInput(trio.abc.ReceiveChannel[Frame]):
    """A stage's input. Cancelling ``receive`` loses nothing."""

    _link: StageLink
    _on_close: Callable[[], None]

    async def receive(self) -> Frame:
        return await self._link.take()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Do something for the present turn: an interruption cancels it, and is then the next that is received."""
        with trio.CancelScope() as self._link.turn:
            if self._link.interruption is not None:
                self._link.turn.cancel()
            try:
                yield
            finally:
                self._link.turn = None

    @contextmanager
    def old_turn(self) -> Iterator[None]:
        """Do what still belongs to the old turn, the interruption being taken: what is sent meanwhile is dropped."""
        self._link.is_being_interrupted = True
        try:
            yield
        finally:
            self._link.is_being_interrupted = False

    async def aclose(self) -> None:
        self._on_close()
        await trio.lowlevel.checkpoint()


@final
@define(eq=False)
class StageOutput(trio.abc.SendChannel[Frame]):
    """A stage's output. A cancelled ``send`` has sent nothing."""

    _links: "Links"
    _link: StageLink

    async def send(self, value: Frame) -> None:
        if isinstance(value, InterruptionFrame | CancelFrame):
            await trio.lowlevel.checkpoint()
            self._link.check_open()
            if isinstance(value, CancelFrame):
                self._links.cancel(value)
            else:
                self._links.interrupt(self._link, value)
            return
        await self._link.put(value)

    def _count_dropped(self, frame: Frame) -> None:
        self._link.dropped(frame)

    @property
    def playback(self) -> Mapping[str, Played]:
        """What was heard of what was sent, if the pipeline's output knows; else there is no such attribute."""
        known = playback_of(self._links.output)
        if known is None:
            raise AttributeError(f"the output {self._links.output!r} does not know what was heard")
        return known

    async def aclose(self) -> None:
        self._link.end()
        await trio.lowlevel.checkpoint()


@final
@define(eq=False)
class Links:
    """All links of one run, in order."""

    all: Sequence[StageLink]
    output: object
    source: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    cancellation: CancelFrame | None = field(default=None, init=False)
    """Asked for; the output's task says it and ends the run."""
    goodbye: trio.CancelScope | None = field(default=None, init=False)
    """The last frame is being sent: no interruption stops that, but a cancellation does."""
    working: set[str] = field(factory=set, init=False)
    """The stages that have not returned, by name."""
    _known: deque[InterruptionFrame] = field(factory=lambda: deque(maxlen=REMEMBERED), init=False)
    """What has entered: whoever sends one of these passes it on, however late, as a pipeline that is a stage may."""
    _entered: tuple[InterruptionFrame, InterruptionFrame] | None = field(default=None, init=False)

    def interrupt(self, first: StageLink, frame: InterruptionFrame) -> None:
        """Interrupt from link ``first`` on, unless the sender only passes on what every link after it has had."""
        if any(frame is known for known in self._known):
            return
        # A value of its own, so that one object sent twice is two interruptions.
        own = evolve(frame, heard=frame.heard or heard_of(self.output))
        self._known.append(own)
        if first is self.all[0]:
            self._entered = (own, frame)
        for link in self.all[self.all.index(first) :]:
            link.interrupt(own)

    def as_it_came(self, frame: Frame) -> Frame:
        """An interruption as it came in: so a pipeline that this one is a stage of knows it again."""
        return self._entered[1] if self._entered is not None and self._entered[0] is frame else frame

    def cancel(self, frame: CancelFrame) -> None:
        """End the run at once; the first to ask for that is heard."""
        if self.cancellation is None:
            self.cancellation = frame
            for scope in (self.all[-1].turn, self.goodbye):
                if scope is not None:
                    scope.cancel()

    def leave(self, link: StageLink) -> None:
        """Nobody reads this link any more: if frames could still come, they need not."""
        early = not link.is_ended
        link.stop_reading()
        if early:
            self.source.cancel()
