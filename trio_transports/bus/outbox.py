"""What waits to be written to one peer of a proxy.

Rules
1. System messages leave first. Each kind leaves in the order in which it was put.
2. Three bounds: messages, bytes, seconds of audio. Past one, the oldest data goes (for the third, the oldest audio),
   and is counted. System messages go last, and only when nothing else is left to drop.
3. Putting never waits and never fails.
4. Messages are taken out by their writer, and put back if they were not written: a connection that comes back later
   begins with them.
5. A request for a job ends with the connection on which it was to leave: who asked is told that it is lost.
6. What the connection has begun and writes by itself takes no room here. Its writer is told to wait for that first.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, final

import trio
from attrs import define, evolve, field, frozen
from trio.lowlevel import ParkingLot

MAX_MESSAGES: Final = 4096
MAX_BYTES: Final = 16 * 1024 * 1024
MAX_AUDIO_S: Final = 60.0
"""Room for what a bot says at once: it may be made much faster than it plays."""


@final
@frozen
class Waiting:
    """One encoded message. ``audio_s`` is 0 for what is not audio; ``at_s`` is when it was put, where that matters."""

    data: bytes
    is_system: bool
    audio_s: float = 0.0
    at_s: float = 0.0
    is_request: bool = False
    """Whether it asks for a job."""


@final
@define(eq=False, kw_only=True)
class Outbox:
    """One writer, any number of putters."""

    max_messages: int = MAX_MESSAGES
    max_bytes: int = MAX_BYTES
    max_audio_s: float = MAX_AUDIO_S
    dropped: int = field(default=0, init=False)
    _system: deque[Waiting] = field(factory=deque, init=False)
    _data: deque[Waiting] = field(factory=deque, init=False)
    _bytes: int = field(default=0, init=False)
    _audio_s: float = field(default=0.0, init=False)
    _audio_count: int = field(default=0, init=False)
    _in_flight: deque[Waiting] = field(factory=deque, init=False)
    is_begun: bool = field(default=False, init=False)
    """Rule 6: something is written, but for its end."""
    _writer: ParkingLot = field(factory=ParkingLot, init=False)
    _emptied: ParkingLot = field(factory=ParkingLot, init=False)

    def __len__(self) -> int:
        return len(self._system) + len(self._data)

    @property
    def waiting_bytes(self) -> int:
        return self._bytes

    @property
    def has_urgent(self) -> bool:
        """Whether a system message waits."""
        return bool(self._system)

    def put(self, waiting: Waiting) -> None:
        """Queue a message; past a bound the oldest goes (rules 2 and 3)."""
        (self._system if waiting.is_system else self._data).append(waiting)
        self._count(waiting)
        self._trim()
        if self._writer:
            self._writer.unpark()

    def begun(self) -> None:
        """The connection has begun one more, past this outbox."""
        self.is_begun = True
        self._writer.unpark()

    def flushed(self) -> None:
        """It has written that."""
        self.is_begun = False
        self._tell_emptied()

    def limit_audio(self, seconds: float) -> None:
        """Change the bound on audio, at once: what is older than a lost connection is not worth hearing."""
        self.max_audio_s = seconds
        self._trim()

    async def take(self, max_bytes: int) -> list[Waiting]:
        """Wait for the next messages to write: one, and as many more as ``max_bytes`` hold; none, if one is begun.

        They stay this outbox's until ``written``; cancelling loses nothing.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while not (self or self.is_begun):
            await self._writer.park()
        if self.is_begun:
            return []
        taken: list[Waiting] = []
        while (lane := self._system or self._data) and (not taken or len(lane[0].data) <= max_bytes):
            waiting = lane.popleft()
            self._account(waiting)
            taken.append(waiting)
            max_bytes -= len(waiting.data)
        self._in_flight.extend(taken)
        return taken

    def take_now(self) -> Waiting | None:
        """Take the next message for good, if there is one."""
        lane = self._system or self._data
        if not lane:
            return None
        waiting = lane.popleft()
        self._account(waiting)
        return waiting

    def written(self, count: int) -> None:
        """The first ``count`` messages of those taken are written."""
        for _ in range(count):
            self._in_flight.popleft()
        self._tell_emptied()

    def put_back(self) -> None:
        """What was taken and is not written is first again."""
        while self._in_flight:
            waiting = self._in_flight.pop()
            (self._system if waiting.is_system else self._data).appendleft(waiting)
            self._count(waiting)
        self.is_begun = False  # that means nothing on another connection
        self._trim()
        self._tell_emptied()

    def _tell_emptied(self) -> None:
        if not (self or self._in_flight or self.is_begun):
            self._emptied.unpark_all()

    async def wait_empty(self) -> None:
        """Wait until everything was written, or what was not is dropped."""
        await trio.lowlevel.checkpoint()
        while self or self._in_flight or self.is_begun:
            await self._emptied.park()

    def translate(self, change: Callable[[bytes], bytes]) -> None:
        """Rewrite what waits, for a peer that reads another form."""
        for lane in (self._system, self._data):
            for index, waiting in enumerate(lane):
                lane[index] = evolve(waiting, data=change(waiting.data))
        self._bytes = sum(len(waiting.data) for lane in (self._system, self._data) for waiting in lane)

    def drop_requests(self) -> None:
        """Rule 5: the connection is lost."""
        for index in reversed([index for index, waiting in enumerate(self._data) if waiting.is_request]):
            self._account(self._data[index])
            del self._data[index]
        self._tell_emptied()

    def drop_stale_audio(self, before_s: float) -> None:
        """Drop the audio that was put before that time."""
        stale = [index for index, waiting in enumerate(self._data) if waiting.audio_s > 0 and waiting.at_s < before_s]
        for index in reversed(stale):
            self._drop(self._data, index)

    def _trim(self) -> None:
        # A bound never drops the last message: one that is larger than a bound is sent all the same.
        while self._audio_s > self.max_audio_s and self._audio_count > 1:
            index = next(index for index, waiting in enumerate(self._data) if waiting.audio_s > 0)
            self._drop(self._data, index)
        while len(self) > 1 and (len(self) > self.max_messages or self._bytes > self.max_bytes):
            self._drop(self._data or self._system, 0)

    def _drop(self, lane: deque[Waiting], index: int) -> None:
        self._account(lane[index])
        del lane[index]
        self.dropped += 1

    def _count(self, put: Waiting) -> None:
        self._bytes += len(put.data)
        self._audio_s += put.audio_s
        self._audio_count += put.audio_s > 0

    def _account(self, gone: Waiting) -> None:
        self._bytes -= len(gone.data)
        self._audio_count -= gone.audio_s > 0
        # No negative zero or dust of rounding stays behind when nothing waits.
        self._audio_s = self._audio_s - gone.audio_s if self else 0.0
