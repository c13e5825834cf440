"""What an agent said, waiting to be read, each with the time at which it came.

Rules
1. Putting never waits. Order is kept among audio, events and errors.
2. Bounded: past ``max_audio_s`` of audio the oldest audio is dropped and counted, past ``MAX_NOTES`` events and errors
   the oldest of those, and past ``max_bytes`` of words the oldest that says something, be it in an event, an error or
   the transcript of audio. The newest is kept, whatever it takes. A chunk counts as ``LEAST_S`` of audio at least, so
   that those with next to nothing in them are bounded too.
3. It ends when the connection has ended and everything was read. Cancelling ``take`` loses nothing.
"""

from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from sys import getsizeof
from typing import Final, TypeAlias, final

import trio
from attrs import define, field, frozen
from trio.lowlevel import ParkingLot

from ..audio.format import counted_s
from ..session.sizes import NODE_BYTES, event_size
from .chunk import AudioChunk
from .events import AgentEvent

MAX_NOTES: Final = 4096

Item: TypeAlias = AudioChunk | AgentEvent | Exception


@final
@frozen
class Arrived:
    at: float
    item: Item
    size: int = 0
    """Bytes of memory that its words take; audio is bounded by how long it lasts."""

    @property
    def is_audio(self) -> bool:
        return isinstance(self.item, AudioChunk)


@final
@define(eq=False)
class AgentInbox:
    """One connection's; several tasks may take, and each item goes to one of them."""

    max_audio_s: float
    max_bytes: float = inf
    _waiting: deque[Arrived] = field(factory=deque, init=False)
    _audio_s: float = field(default=0.0, init=False)
    _notes: int = field(default=0, init=False)
    _bytes: int = field(default=0, init=False)
    dropped_audio_s: float = field(default=0.0, init=False)
    dropped_notes: int = field(default=0, init=False)
    has_ended: bool = field(default=False, init=False)
    _readers: ParkingLot = field(factory=ParkingLot, init=False)

    @property
    def unread_s(self) -> float:
        return self._audio_s

    def put(self, item: Item, at: float) -> None:
        """Never waits and never fails: past a bound the oldest goes, but not the one that was put last."""
        newest = Arrived(at, item, _words(item))
        self._waiting.append(newest)
        self._count(newest, 1)
        if isinstance(item, AudioChunk):
            least_s = counted_s(len(item.data), item.sample_rate, item.num_channels)
            while self._audio_s > self.max_audio_s and self._audio_s > least_s:
                self._drop_oldest(lambda each: each.is_audio)
        elif self._notes > MAX_NOTES:
            self._drop_oldest(lambda each: not each.is_audio)
        while self._bytes > self.max_bytes and self._bytes > newest.size:
            self._drop_oldest(lambda each: each.size > 0)
        self._readers.unpark()

    def put_back(self, items: Iterable[Arrived]) -> None:
        """Put what was taken, in that order, before what waits."""
        for arrived in reversed(list(items)):
            self._waiting.appendleft(arrived)
            self._count(arrived, 1)
            self._readers.unpark()

    def take_nowait(self) -> Arrived | None:
        if not self._waiting:
            return None
        arrived = self._waiting.popleft()
        self._count(arrived, -1)
        return arrived

    async def take(self) -> Arrived:
        """Take the next item; ``trio.EndOfChannel`` after the last."""
        await trio.lowlevel.checkpoint_if_cancelled()
        parked = False
        while True:
            arrived = self.take_nowait()
            if arrived is not None:
                if not parked:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                return arrived
            if self.has_ended:
                await trio.lowlevel.checkpoint()
                raise trio.EndOfChannel
            await self._readers.park()
            parked = True

    def end(self) -> None:
        """Nothing more will come; what waits can still be taken."""
        self.has_ended = True
        self._readers.unpark_all()

    def _count(self, arrived: Arrived, sign: int) -> None:
        self._bytes += sign * arrived.size
        if isinstance(arrived.item, AudioChunk):
            # An empty inbox holds exactly nothing, whatever was rounded on the way.
            chunk_s = counted_s(len(arrived.item.data), arrived.item.sample_rate, arrived.item.num_channels)
            self._audio_s = self._audio_s + sign * chunk_s if self._waiting else 0.0
        else:
            self._notes += sign

    def _drop_oldest(self, is_one: Callable[[Arrived], bool]) -> None:
        index, oldest = next((at, each) for at, each in enumerate(self._waiting) if is_one(each))
        del self._waiting[index]
        self._count(oldest, -1)
        if isinstance(oldest.item, AudioChunk):
            self.dropped_audio_s += oldest.item.duration_seconds
        else:
            self.dropped_notes += 1


def _words(item: Item) -> int:
    """Bytes of memory that it takes besides audio."""
    if isinstance(item, AudioChunk):
        return getsizeof(item.transcript) + NODE_BYTES if item.transcript else 0
    return event_size(item) + (sum(map(getsizeof, item.args)) if isinstance(item, Exception) else 0)
