"""What the peer sent, waiting for the handler, who reads it from ``session.input``.

Rules
1. Putting never waits, so a slow handler never holds up the wire.
2. Audio is bounded in seconds: past the bound the oldest audio is dropped and counted. Its order among the other
   frames stays. A frame counts as ``LEAST_S`` at least, so that those with next to nothing in them are bounded too.
3. Frames that are not audio are never dropped. Past ``MAX_FRAMES`` unread of the peer's, ``put`` says so, and the
   session closes with 1008.
4. All that waits is bounded in bytes of memory too. Past ``max_bytes`` the oldest audio is dropped and counted, the
   newest as well if it must be; where there is none to drop, ``put`` says so.
5. Pictures have a bound of their own: past ``max_pictures`` unread ones the oldest is dropped and counted. How large
   one may be is bounded by who puts it here.
6. It ends when the connection has ended, or the peer has said that its stream has (``EndFrame``), and everything
   was read. Cancelling ``take`` loses nothing.
7. It ends as well, with what is unread dropped, when the session is over because its body was left: a task that still
   reads finds an end like any other. Only who closes the input himself is told that he did (ClosedResourceError).
8. A reader may stand by (``take_or``): what the peer sends while nothing waits here, and nobody else, is dealt with
   where it is put (see ``session.standby``). What this side puts, and what would be dropped for its size, is queued.
"""

from collections import deque
from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from ..frames import AudioFrame, Frame, ImageFrame, SpriteFrame
from ..frames.audio import counted_s
from .pictures import images_of
from .sizes import audio_size, size_of
from .standby import Deal, Standby
from .statistics import Counters

MAX_FRAMES: Final = 1024
DEFAULT_MAX_BYTES: Final = 4 * 1024 * 1024
DEFAULT_MAX_PICTURES: Final = 3
_ROUNDING_S: Final = 1e-6

# How far it has ended; it never goes back.
_OPEN: Final = 0
_ENDED: Final = 1
"""Nothing more comes, and what waits can be read; rule 6."""
_SHUT: Final = 2
"""Nothing is taken any more, and nothing waits; rule 7."""
_CLOSED: Final = 3
"""The same, and whoever reads is told that this side has closed it."""


@final
@define(eq=False)
class Unread:
    """The queue between the connection and the handler. Several tasks may take from it; each frame goes to one."""

    _max_audio_s: float
    _counters: Counters
    audio_is_on: bool
    """Whether audio is let through: whoever puts it here asks."""
    _max_bytes: int = DEFAULT_MAX_BYTES
    _max_pictures: int = DEFAULT_MAX_PICTURES
    _frames: deque[Frame] = field(factory=deque, init=False)
    _audio_s: float = field(default=0.0, init=False)
    _other_sizes: list[int] = field(factory=list, init=False)
    """Bytes of each unread frame that is not audio, in order."""
    _unread_bytes: int = field(default=0, init=False)
    _pictures: int = field(default=0, init=False)
    _readers: ParkingLot = field(factory=ParkingLot, init=False)
    _stage: int = field(default=_OPEN, init=False)
    standby: Standby = field(factory=Standby, init=False)

    def put_audio(self, frame: AudioFrame) -> None:
        """Queue audio; rule 2."""
        if self._stage >= _SHUT or (self.standby.is_waiting and self._is_dealt_with(frame, audio_size(frame))):
            return
        frame_s = counted_s(frame)
        self._frames.append(frame)
        self._audio_s += frame_s
        self._unread_bytes += audio_size(frame)
        while self._audio_s > self._max_audio_s + _ROUNDING_S and self._audio_s > frame_s + _ROUNDING_S:
            self._drop_oldest_audio()
        if self._unread_bytes > self._max_bytes:
            self._make_room(0)
        self._wake_one()

    def put(self, frame: Frame, *, of_peer: bool = False) -> str:
        """Queue a frame that is not audio; when it cannot be, say why: too much waits unread.

        One ``of_peer`` may be dealt with at once.
        """
        if self._stage >= _SHUT:
            return ""
        if len(self._other_sizes) >= MAX_FRAMES:
            return f"{MAX_FRAMES} frames wait unread by the handler"
        size = size_of(frame)
        if size > self._max_bytes:
            return f"one message takes {size} bytes of memory: more than max_unread_bytes ({self._max_bytes})"
        if of_peer and self.standby.is_waiting and self._is_dealt_with(frame, size):
            return ""
        if self._unread_bytes + size > self._max_bytes and not self._make_room(size):
            return f"{self._max_bytes} bytes wait unread by the handler (max_unread_bytes)"
        self._frames.append(frame)
        self._other_sizes.append(size)
        self._unread_bytes += size
        self._wake_one()
        return ""

    def put_picture(self, frame: ImageFrame | SpriteFrame) -> None:
        """Queue a picture, in the place of the oldest one if too many wait; rule 5."""
        if self._stage >= _SHUT:
            return
        self._frames.append(frame)
        self._pictures += 1
        if self._pictures > self._max_pictures:
            oldest = next(waiting for waiting in self._frames if isinstance(waiting, ImageFrame | SpriteFrame))
            self._frames.remove(oldest)
            self._pictures -= 1
            self._counters.pictures_in_dropped += len(images_of(oldest))
        self._wake_one()

    def put_notice(self, frame: Frame) -> None:
        """Queue what this side has to tell; a handler that reads nothing at all does not lose its session for that."""
        self.put(frame)

    def end(self) -> None:
        """Say that nothing more comes; rule 6."""
        self._stage = max(self._stage, _ENDED)
        self._wake_all()

    async def take(self) -> Frame:
        """Wait for the next frame; rules 6 and 7."""
        await trio.lowlevel.checkpoint_if_cancelled()
        parked = False
        while self._stage != _CLOSED:
            if self._frames:
                frame = self._frames.popleft()
                if isinstance(frame, AudioFrame):
                    self._audio_s = self._audio_s - counted_s(frame) if self._frames else 0.0
                    self._unread_bytes -= audio_size(frame)
                elif isinstance(frame, ImageFrame | SpriteFrame):
                    self._pictures -= 1
                else:
                    self._unread_bytes -= self._other_sizes.pop(0)
                if not parked:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                return frame
            if self._stage >= _ENDED:
                await trio.lowlevel.checkpoint()
                raise trio.EndOfChannel
            await self._readers.park()
            parked = True
        await trio.lowlevel.checkpoint()
        raise trio.ClosedResourceError("session.input was closed by this side")

    async def take_or(self, deal: Deal) -> Frame | None:
        """Wait as ``take`` does, and have ``deal`` deal with what it can meanwhile; None: it did a part. Rule 8."""
        if not (self._frames or self._stage >= _ENDED or self.standby.is_waiting):
            await trio.lowlevel.checkpoint_if_cancelled()
            if not await self.standby.wait(deal):
                return None
        return await self.take()

    def _is_dealt_with(self, frame: Frame, size: int) -> bool:
        return not self._readers and size <= self._max_bytes and self.standby.takes(frame)

    def _wake_one(self) -> None:
        if self._readers:
            self._readers.unpark()
        else:
            self.standby.wake()

    def _wake_all(self) -> None:
        self._readers.unpark_all()
        self.standby.wake()

    def shut(self) -> None:
        """Take nothing more and give nothing more: the session is over; rule 7."""
        self._drop_all(_SHUT)

    def _drop_all(self, stage: int) -> None:
        self._stage = max(self._stage, stage)
        self._frames.clear()
        self._other_sizes.clear()
        self._audio_s, self._unread_bytes, self._pictures = 0.0, 0, 0
        self._wake_all()

    def close(self) -> None:
        """Take nothing more: the handler has said that it reads no more."""
        self._drop_all(_CLOSED)

    def _make_room(self, size: int) -> bool:
        """Drop the oldest audio until so many bytes more may wait; False if there was not enough of it; rule 4."""
        while self._unread_bytes + size > self._max_bytes:
            if not self._drop_oldest_audio():
                return False
        return True

    def _drop_oldest_audio(self) -> bool:
        for index, frame in enumerate(self._frames):
            if isinstance(frame, AudioFrame):
                del self._frames[index]
                self._audio_s -= counted_s(frame)
                self._unread_bytes -= audio_size(frame)
                self._counters.audio_in_dropped_s += frame.duration_s
                return True
        return False
