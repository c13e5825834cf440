"""What one picture track shows, and when: the queue between the handler, the worker that prepares, and the clock.

Rules
1. Time is a count: the n-th picture of a run is due at ``anchor + n / framerate``, computed, never summed up.
2. Live: each picture sent is shown once. The first after a pause is due at once and sets the anchor; one that is sent
   before its predecessor's time is over is due when that is, so a clip sent at once plays in real time.
3. Live and late: a picture whose successor is due already is dropped and counted, before it is prepared where that can
   still be told. The newest is shown however late it is: an encoder at half speed makes half as many pictures.
4. Still: a picture is shown once, since the peer keeps what it was shown. One that follows sooner than
   ``1 / framerate`` waits for that, and of several the newest is shown. What is being prepared already is shown too,
   if its turn comes first: pictures that come faster than they are prepared would never be seen. A sprite's pictures go
   round, one each ``1 / framerate``, until something else is sent; turns that were missed are not made up for.
5. An interruption drops what waits. A still picture stays: it is the bot's face, not what it was saying. A peer that
   was lost and found again is shown it once more.
6. A picture that is never shown is counted in ``dropped``, once: left out, replaced before its turn (each of a sprite's
   by itself), dropped by an interruption, given up at the end, or none at all. A still one that was handed over counts
   as shown: where its wire goes, the latest is shown again.
7. Pictures are prepared one after another, in order. What waits is counted in bytes; a sender waits for room. What a
   sprite keeps for its next round has a bound of its own (``session.cycle``).
"""

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import ClassVar, Final, Protocol, final

from attrs import define, field

from ..frames import ImageFrame, SpriteFrame
from ..serializers.protocol import Message
from .cycle import Cycle

READY_LIMIT: Final = 3
"""So many pictures are prepared ahead of their time."""


def images_of(frame: ImageFrame | SpriteFrame) -> tuple[ImageFrame, ...]:
    """The pictures in a frame."""
    return frame.images if isinstance(frame, SpriteFrame) else (frame,)


@final
@define(eq=False)
class Job:
    """A picture to prepare: to be brought into shape, encoded, and written as messages."""

    image: ImageFrame
    due_s: float
    messages: Sequence[Message] | None = field(default=None, init=False)
    """Once it is prepared."""

    @property
    def size_bytes(self) -> int:
        """What it keeps in memory while it waits."""
        if self.messages is None:
            return len(self.image.image)
        return sum(map(len, self.messages))


class Showing(Protocol):
    """How a track shows: live or still."""

    dropped: int
    """Pictures that will never be shown."""
    stays: ClassVar[bool]
    """What it shows outlasts an interruption; rule 5."""

    @property
    def waiting_bytes(self) -> int:
        """The memory that waiting pictures take."""

    def offer(self, images: tuple[ImageFrame, ...], now_s: float) -> None:
        """Take pictures from the handler."""

    def job(self, now_s: float) -> Job | None:
        """What is to be prepared next."""

    def prepared(self, job: Job, messages: Sequence[Message] | None) -> None:
        """Take what a job has become; None if it was no picture."""

    def next_time(self) -> float:
        """When there will be something to show; ``inf`` if only ``prepared`` can tell."""

    def show(self, now_s: float) -> Sequence[Message]:
        """Give the messages of the picture that is due."""

    def interrupt(self) -> None:
        """Drop what waits."""

    def give_up(self) -> None:
        """Drop what was not shown yet: nothing is shown any more."""

    def again(self) -> None:
        """Show the peer what it would see, had it been there before."""

    @property
    def is_waiting(self) -> bool:
        """Whether a picture was sent that was not shown yet."""

    @property
    def ends_at_s(self) -> float:
        """When the last of what waits will be shown."""


@final
@define(eq=False)
class LiveShowing:
    """Each picture once, at its time."""

    stays: ClassVar[bool] = False
    framerate: int
    dropped: int = field(default=0, init=False)
    waiting_bytes: int = field(default=0, init=False)
    _waiting: deque[Job] = field(factory=deque, init=False)
    _making: Job | None = field(default=None, init=False)
    _ready: deque[Job] = field(factory=deque, init=False)
    _anchor_s: float = field(default=-inf, init=False)
    _count: int = field(default=0, init=False)

    def offer(self, images: tuple[ImageFrame, ...], now_s: float) -> None:
        for image in images:
            job = Job(image, self._book(now_s))
            self.waiting_bytes += job.size_bytes
            self._waiting.append(job)

    def _book(self, now_s: float) -> float:
        due_s = self._anchor_s + self._count / self.framerate
        # Late by less than half a picture is jitter: the schedule goes on, and such a producer keeps its rate.
        if now_s - due_s >= 0.5 / self.framerate:
            self._anchor_s, self._count, due_s = now_s, 0, now_s
        self._count += 1
        return due_s

    def job(self, now_s: float) -> Job | None:
        if self._making is not None or len(self._ready) >= READY_LIMIT:
            return None
        self._drop_overtaken(self._waiting, now_s)
        if self._waiting:
            self._making = self._waiting.popleft()
        return self._making

    def prepared(self, job: Job, messages: Sequence[Message] | None) -> None:
        if job is self._making:  # else it was dropped meanwhile
            self._making = None
            self.waiting_bytes -= job.size_bytes
            if messages is None:  # it was no picture
                self.dropped += 1
                return
            job.messages = messages
            self.waiting_bytes += job.size_bytes
            self._ready.append(job)

    def next_time(self) -> float:
        return self._ready[0].due_s if self._ready else inf

    def show(self, now_s: float) -> Sequence[Message]:
        self._drop_overtaken(self._ready, now_s)
        if not self._ready or self._ready[0].due_s > now_s:
            return ()
        job = self._ready.popleft()
        self.waiting_bytes -= job.size_bytes
        return job.messages or ()

    def _drop_overtaken(self, jobs: deque[Job], now_s: float) -> None:
        """Drop each picture whose successor is due; rule 3."""
        while len(jobs) > 1 and jobs[1].due_s <= now_s:
            self.waiting_bytes -= jobs.popleft().size_bytes
            self.dropped += 1

    def interrupt(self) -> None:
        self.dropped += len(self._waiting) + len(self._ready) + (self._making is not None)
        self._waiting.clear()
        self._ready.clear()
        self._making = None
        self.waiting_bytes = 0
        self._anchor_s, self._count = -inf, 0

    def give_up(self) -> None:
        self.interrupt()

    def again(self) -> None:
        """What was shown live is over."""

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting or self._ready) or self._making is not None

    @property
    def ends_at_s(self) -> float:
        return self._anchor_s + self._count / self.framerate


@final
@define(eq=False)
class StillShowing:
    """The last picture, or a sprite's pictures in turn; ``keeps_bytes`` of them stay prepared."""

    stays: ClassVar[bool] = True
    framerate: int
    keeps_bytes: int
    dropped: int = field(default=0, init=False)
    _next: Cycle | None = field(default=None, init=False)
    """What was sent, until the first of it is prepared."""
    _overtaken: Cycle | None = field(default=None, init=False)
    """What was sent before that, while the first of it is being prepared; rule 4."""
    _shown: Cycle | None = field(default=None, init=False)
    _making: tuple[Job, Cycle, int] | None = field(default=None, init=False)
    _is_new: bool = field(default=False, init=False)
    _anchor_s: float = field(default=-inf, init=False)
    _count: int = field(default=0, init=False)

    def offer(self, images: tuple[ImageFrame, ...], now_s: float) -> None:
        if self._next is not None and self._making is not None and self._making[1] is self._next:
            self._overtaken, self._next = self._next, None
        self._drop_next()
        self._next = Cycle(list(images), self.keeps_bytes)

    def job(self, now_s: float) -> Job | None:
        cycle = self._shown if self._next is None else self._next
        number = cycle.wanted() if cycle is not None else None
        if cycle is None or number is None:
            return None
        job = Job(cycle.images[number], now_s)
        self._making = job, cycle, number
        return job

    def prepared(self, job: Job, messages: Sequence[Message] | None) -> None:
        if self._making is None or job is not self._making[0]:
            return
        _, cycle, number = self._making
        self._making = None
        is_overtaken, self._overtaken = cycle is self._overtaken, None
        if not is_overtaken and cycle is not self._next and cycle is not self._shown:  # it was dropped meanwhile
            return
        cycle.put(number, messages)
        self.dropped += messages is None
        if cycle is self._shown:
            return
        if cycle.is_ready:
            if self._shown is not None:
                self.dropped += self._shown.unseen
            self._shown, self._is_new = cycle, True
        elif is_overtaken:  # the first of it was none, and the others were not begun
            self.dropped += len(cycle)
        if cycle is self._next and (cycle.is_ready or not cycle):  # without a picture in it, the last one stays
            self._next = None

    def next_time(self) -> float:
        cycle = self._shown
        if cycle is None or not cycle.is_ready or (len(cycle) == 1 and not self._is_new):
            return inf
        return self._anchor_s + self._count / self.framerate

    def show(self, now_s: float) -> Sequence[Message]:
        due_s = self.next_time()
        if self._shown is None or due_s > now_s:
            return ()
        missed = (now_s - self._anchor_s) * self.framerate - self._count
        if missed >= 1:
            self._anchor_s, self._count = now_s, 0
        self._count += 1
        self._is_new = False
        return self._shown.take()

    def interrupt(self) -> None:
        self._drop_next()
        if self._overtaken is not None:
            self.dropped += len(self._overtaken)
            self._overtaken = None

    def give_up(self) -> None:
        self.interrupt()
        if self._shown is not None:
            self.dropped += self._shown.unseen
            self._shown, self._is_new = None, False

    def _drop_next(self) -> None:
        if self._next is not None:
            self.dropped += len(self._next)
            self._next = None

    def again(self) -> None:
        self._is_new = self._shown is not None

    @property
    def waiting_bytes(self) -> int:
        return sum(cycle.source_bytes for cycle in (self._next, self._overtaken) if cycle is not None)

    @property
    def kept_bytes(self) -> int:
        """The memory that the pictures take that are prepared for their turns."""
        return self._shown.ready_bytes if self._shown is not None else 0

    @property
    def is_waiting(self) -> bool:
        return self._next is not None or self._is_new

    @property
    def ends_at_s(self) -> float:
        turns = (self._is_new or self._overtaken is not None) + (self._next is not None)
        return self._anchor_s + (self._count + max(0, turns - 1)) / self.framerate
