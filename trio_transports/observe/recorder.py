"""Both sides of a call in one WAV file: the peer on the left, what was said to it on the right, aligned in time.

Rules
1. A piece of audio is placed where its own side's audio goes on, as long as that is within ``SLACK_S`` of when it came
   or left: small lateness makes no holes. Past that it is placed by the clock, and silence is between.
2. Audio that leaves ahead of time lies ahead in the file too. What is taken back of it, since an interruption or a loss
   came before anybody heard it, is cut off. It is counted over what left, of which ``REMEMBERED`` runs are remembered.
3. What waits to be written is bounded by ``max_waiting_bytes``, in which each piece counts with ``PIECE_BYTES`` besides
   its samples: tiny ones are many. When the disk is slower than that, pieces are left out and counted; those that come
   later stand where they belong all the same. There are never more cuts than pieces.
4. Converting and writing are done in a worker thread, one batch at a time. The header is right after every batch, so
   that what a crash leaves can be played.
5. An error of the disk ends the recording and not the call: it is logged, and told in ``failure``.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from typing import Final, final

import trio
from attrs import define, field

from .._documented import documented
from .._nursery import open_services
from ..audio.format import AudioFormat
from ..frames import AudioFrame, Frame
from ..session.session import Session
from .stereo_file import Piece, Side, StereoFile

logger = logging.getLogger("trio_transports.observe")

SLACK_S: Final = 0.12
MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
PIECE_BYTES: Final = 300
"""What a piece takes that waits, besides its samples."""
REMEMBERED: Final = 64
LAST_WRITE_S: Final = 5.0
"""How long the end of a call waits for a thread to write in."""
_last_writes: Final = trio.CapacityLimiter(40)
"""Threads that are there to end recordings, whatever all others are busy with."""


@documented
@final
@define(eq=False)
class Recording:
    """One that goes on; a ``session.taps.Tap``."""

    started_at_s: float
    """When the file begins, on trio's clock."""
    max_waiting_bytes: int = MAX_WAITING_BYTES
    """How many bytes of memory may wait for the disk."""
    lost_s: float = field(default=0.0, init=False)
    """Audio that is not in the file, because the disk was too slow."""
    failure: OSError | None = field(default=None, init=False)
    """What ended the recording before the call."""
    _waiting: list[Piece] = field(factory=list, init=False)
    _waiting_bytes: int = field(default=0, init=False)
    _ends_at_s: dict[Side, float] = field(factory=lambda: {"peer": 0.0, "here": 0.0}, init=False)
    _runs: deque[tuple[float, float]] = field(factory=lambda: deque(maxlen=REMEMBERED), init=False)
    """From where to where this side has audio without a gap, the latest of them; rule 2."""
    _more: trio.Event = field(factory=trio.Event, init=False)

    def received(self, frame: Frame, now_s: float) -> None:
        """The peer's own audio; what it forwards of others is not of this call."""
        if isinstance(frame, AudioFrame) and frame.destination is None:
            # A piece that has come has been spoken: it ends now.
            self._put("peer", frame.audio, frame.format, now_s - frame.duration_s)

    def sent(self, frame: Frame, now_s: float) -> None:
        """Nothing of it is audio."""

    def left(self, pcm: bytes, audio_format: AudioFormat, destination: str | None, now_s: float) -> None:
        """What the peer is about to hear."""
        if destination is None:
            self._put("here", pcm, audio_format, now_s)

    def taken_back(self, duration_s: float, destination: str | None, now_s: float) -> None:
        """Rule 2."""
        if destination is not None or not self._runs or duration_s <= 0:
            return
        start_s, end_s = self._runs.pop()
        while self._runs and duration_s >= end_s - start_s:
            duration_s -= end_s - start_s
            start_s, end_s = self._runs.pop()
        at_s = max(start_s, end_s - duration_s)
        if at_s > start_s:
            self._runs.append((start_s, at_s))
        self._ends_at_s["here"] = at_s
        if self.failure is None:
            if self._waiting and self._waiting[-1].audio_format is None:  # rule 3
                self._waiting_bytes -= PIECE_BYTES
                self._waiting.pop()
            self._add(Piece("here", at_s, b"", None))

    def interrupted(self, now_s: float) -> None:
        """What that takes back was told by ``taken_back``."""

    def _put(self, side: Side, pcm: bytes, audio_format: AudioFormat, clock_s: float) -> None:
        at_s, goes_on_s = max(0.0, clock_s - self.started_at_s), self._ends_at_s[side]
        if goes_on_s and at_s < goes_on_s + SLACK_S:  # rule 1; audio that comes faster than it plays goes on, too
            at_s = goes_on_s
        self._ends_at_s[side] = at_s + audio_format.duration_s(len(pcm))
        if side == "here":
            goes_on = bool(self._runs) and self._runs[-1][1] == at_s
            self._runs.append((self._runs.pop()[0] if goes_on else at_s, self._ends_at_s[side]))
        if self._waiting_bytes + len(pcm) + PIECE_BYTES > self.max_waiting_bytes or self.failure is not None:
            self.lost_s += audio_format.duration_s(len(pcm))
            return
        self._add(Piece(side, at_s, pcm, audio_format))

    def _add(self, piece: Piece) -> None:
        self._waiting.append(piece)
        self._waiting_bytes += len(piece.pcm) + PIECE_BYTES
        self._more.set()

    async def write(self, file: StereoFile) -> None:
        """Write until cancelled, each batch in a worker thread."""
        while self.failure is None:
            await self._more.wait()
            self._more = trio.Event()
            await self.flush(file.write)
            await trio.sleep(0.25)  # a batch for several pieces

    async def flush(
        self, write: Callable[[Sequence[Piece]], None], limiter: trio.CapacityLimiter | None = None
    ) -> None:
        """Write what waits, if the disk still takes it, in a thread, of which ``limiter`` gives one."""
        batch, self._waiting = self._waiting, []
        try:
            # A batch that was taken is written: cancelled before its thread has begun, it would be lost.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_WRITE_S) as until_begun:
                await trio.to_thread.run_sync(write, batch if self.failure is None else (), limiter=limiter)
            if until_begun.cancelled_caught:  # no thread was free: the next time, then
                self._waiting[:0] = batch
                self._more.set()
        except OSError as exc:
            if self.failure is None:
                self.failure = exc
                logger.exception("a recording has ended, the call goes on")
        finally:
            self._waiting_bytes = sum(len(piece.pcm) + PIECE_BYTES for piece in self._waiting)


@asynccontextmanager
async def recorder(
    session: Session,
    path: "str | PathLike[str]",
    *,
    sample_rate: int = 16000,
    max_waiting_bytes: int = MAX_WAITING_BYTES,
) -> AsyncIterator[Recording]:
    """Record both sides of a session while the block runs: a stereo WAV, the peer left, this side right.

    A file that cannot be made raises OSError at once, and so does one that another call is being recorded in; one that
    is there already is replaced. Cancelled, what was said until then is in the file.

    ``sample_rate`` is the file's, in Hz. Past ``max_waiting_bytes`` that a slow disk has not taken, audio is left out
    as silence.
    """
    recording = Recording(trio.current_time(), max_waiting_bytes)
    file = await trio.to_thread.run_sync(StereoFile.create, path, sample_rate)
    try:
        with session.tapped(recording):
            async with open_services() as services:
                services.start_soon(recording.write, file, name="recorder")
                yield recording
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_WRITE_S):
            await recording.flush(file.finish, _last_writes)
