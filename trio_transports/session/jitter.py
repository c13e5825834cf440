"""Inbound audio in its order and evenly spaced, where a line promises neither: ``audio_in_jitter_ms``.

Rules
1. A frame's ``pts`` (nanoseconds) says its place. One that comes without stands behind all that came before it.
2. Audio is given on when it is due: its place after the earliest that came, and ``delay_s``. So none waits longer than
   that, and a burst after a stall is given on at once.
3. What is not there when it is due is concealed for ``CONCEAL_S``: by the last frame again, fading away, or by the
   line's own decoder, where it knows how. A frame shorter than ``LEAST_PIECE_S`` is repeated as often as makes that:
   after one of a single sample it would be thousands of frames else. After that the stream pauses, and what comes next
   begins anew. Without ``pts`` nothing tells lost audio from a pause: nothing is concealed. Nor is anything that may
   only be unread: where this side has stood still, what has come meanwhile is put first, and then ``conceals`` is said.
4. What comes after it was concealed, or twice, is dropped and counted as late; what overtook another is counted too.
5. A place more than ``MAX_AHEAD_S`` ahead is another stream's: what waits is given on, and it begins anew. At most
   ``MAX_WAITING`` frames wait.
6. Each destination's audio has its own order and time.
7. Audio that came coded is decoded when it is given on. What turns out to be none is told, and concealed as if lost.
"""

from bisect import insort
from collections.abc import Callable
from math import ceil, inf
from typing import Final, TypeAlias, final

import numpy as np
from attrs import define, field

from ..errors import RemoteProtocolError
from ..frames import AudioFrame, checked_audio_frame
from ..serializers.coded import CodedAudio
from .statistics import Counters

Piece: TypeAlias = AudioFrame | CodedAudio

CONCEAL_S: Final = 0.1
LEAST_PIECE_S: Final = 0.01
MAX_AHEAD_S: Final = 5.0
MAX_WAITING: Final = 500
_NS: Final = 1_000_000_000
_ROUNDING_NS: Final = 1_000_000
"""Lines tell the time in whole milliseconds."""


@final
@define(eq=False)
class JitterBuffer:
    """Owned by one session's inbound side, which asks it for what is ``ready`` at ``due_s``."""

    _delay_s: float
    _counters: Counters
    _malformed: Callable[[str], None]
    _waiting: list[tuple[int, Piece]] = field(factory=list, init=False)
    _runs: bool = field(default=False, init=False)
    _next_ns: int = field(default=0, init=False)
    """The place of what is given on next."""
    _newest_ns: int = field(default=0, init=False)
    _end_ns: int = field(default=0, init=False)
    """Where the newest that came ends: the place of what comes without ``pts``."""
    _offset_s: float = field(default=0.0, init=False)
    """What is at place p is due at p + this."""
    _last: Piece | None = field(default=None, init=False)
    """What can be repeated; None where there is no telling what is lost."""
    _concealed_s: float = field(default=0.0, init=False)

    def put(self, frame: Piece, now_s: float) -> list[AudioFrame]:
        """Take a frame; return what waited for a stream that is over by this."""
        place = self._end_ns if frame.pts is None else frame.pts
        over: list[AudioFrame] = []
        if self._runs and abs(place - self._next_ns) > MAX_AHEAD_S * _NS:  # rule 5
            over = self.flush()
        offset_s = now_s - place / _NS + self._delay_s
        if not self._runs:
            self._runs, self._next_ns, self._newest_ns, self._offset_s = True, place, place, offset_s
        elif place + _ROUNDING_NS < self._next_ns or any(place == waiting for waiting, _ in self._waiting):  # rule 4
            self._counters.audio_in_late += 1
            return over
        self._offset_s = min(self._offset_s, offset_s)  # rule 2
        if place < self._newest_ns:
            self._counters.audio_in_reordered += 1
        self._newest_ns = max(self._newest_ns, place)
        self._end_ns = max(self._end_ns, place + _length_ns(frame)) if self._waiting else place + _length_ns(frame)
        insort(self._waiting, (place, frame), key=_place)
        while len(self._waiting) > MAX_WAITING:
            over += self._take()
        return over

    @property
    def due_s(self) -> float:
        """When there may be something to give on."""
        if not self._runs:
            return inf
        place = self._next_ns
        if self._waiting and self._last is None:
            place = self._waiting[0][0]
        return place / _NS + self._offset_s

    def ready(self, now_s: float, *, conceals: bool = True) -> list[AudioFrame]:
        """Give on what is due, and what takes the place of what is missing."""
        frames: list[AudioFrame] = []
        while self._runs and self.due_s <= now_s + 1e-9:
            missing_ns = self._waiting[0][0] - self._next_ns if self._waiting else _NS
            if self._waiting and (missing_ns <= _ROUNDING_NS or self._last is None):
                frames += self._take()
            elif not conceals:
                break
            elif self._last is not None and self._concealed_s < CONCEAL_S:
                frames += self._conceal(self._last, missing_ns)
            elif self._waiting:
                self._next_ns = self._waiting[0][0]
            else:
                self._runs = False
        return frames

    def flush(self) -> list[AudioFrame]:
        """Give on all that waits, in its order: no more of this stream comes."""
        frames = [decoded for _, frame in self._waiting for decoded in self._decoded(frame)]
        self._waiting.clear()
        self._runs, self._last, self._concealed_s = False, None, 0.0
        return frames

    def _take(self) -> list[AudioFrame]:
        place, frame = self._waiting.pop(0)
        decoded = self._decoded(frame)
        if not decoded:
            return []
        self._next_ns = place + _length_ns(frame)
        self._concealed_s = 0.0
        self._last = frame if frame.pts is not None and _length_ns(frame) else None
        return decoded

    def _decoded(self, frame: Piece) -> list[AudioFrame]:
        """The audio that a packet holds; rule 7."""
        if isinstance(frame, AudioFrame):
            return [frame]
        try:
            return [frame.decoded()]
        except RemoteProtocolError as exc:
            self._malformed(str(exc))
            return []

    def _conceal(self, last: Piece, missing_ns: int) -> list[AudioFrame]:
        """Make the next piece of what takes the place of what is lost; rule 3."""
        left_s = min(missing_ns / _NS, CONCEAL_S - self._concealed_s)
        if isinstance(last, AudioFrame):
            frame = self._repeat(last, left_s)
        else:
            frame = last.made_up(min(left_s, last.duration_s), self._next_ns)
        if not frame.audio:  # less than a sample is left, or the decoder can make up nothing: it is over
            self._concealed_s = CONCEAL_S
            return []
        self._concealed_s += frame.duration_s
        self._next_ns += round(frame.duration_s * _NS)
        self._counters.audio_in_concealed_s += frame.duration_s
        return [frame]

    def _repeat(self, last: AudioFrame, left_s: float) -> AudioFrame:
        """The last frame again, in the next part of its fading away."""
        pcm = np.frombuffer(last.audio, "<i2").reshape(-1, last.num_channels)
        times = ceil(LEAST_PIECE_S * last.sample_rate / len(pcm))
        pcm = np.tile(pcm, (times, 1))[: round(left_s * last.sample_rate)]
        gains = 1 - (self._concealed_s + np.arange(len(pcm)) / last.sample_rate) / CONCEAL_S
        faded = np.rint(pcm * np.clip(gains, 0, 1).reshape(-1, 1)).astype("<i2").tobytes()
        return checked_audio_frame(faded, last.sample_rate, last.num_channels, self._next_ns, last.destination)


@final
@define(eq=False)
class JitterBuffers:
    """One for each destination: two sides of a line that speak at one time are no doubles of each other."""

    _delay_s: float
    _counters: Counters
    _buffers: dict[str | None, JitterBuffer] = field(factory=dict, init=False)
    _fault: str = field(default="", init=False)

    def put(self, frame: Piece, now_s: float) -> list[AudioFrame]:
        """Take a piece that has come; give what need not wait any longer."""
        buffer = self._buffers.get(frame.destination)
        if buffer is None:
            buffer = self._buffers[frame.destination] = JitterBuffer(self._delay_s, self._counters, self._note)
        return buffer.put(frame, now_s)

    def _note(self, fault: str) -> None:
        self._fault = fault

    def take_fault(self) -> str:
        """What was wrong with the audio that was given on since the last call; "" for nothing."""
        fault, self._fault = self._fault, ""
        return fault

    @property
    def due_s(self) -> float:
        return min((buffer.due_s for buffer in self._buffers.values()), default=inf)

    def ready(self, now_s: float, *, conceals: bool) -> list[AudioFrame]:
        """Give what has waited long enough."""
        return [frame for buffer in self._buffers.values() for frame in buffer.ready(now_s, conceals=conceals)]

    def flush(self) -> list[AudioFrame]:
        """Give everything that waits."""
        return [frame for buffer in self._buffers.values() for frame in buffer.flush()]


def _place(waiting: tuple[int, Piece]) -> int:
    return waiting[0]


def _length_ns(frame: Piece) -> int:
    if isinstance(frame, AudioFrame):
        return frame.num_samples * _NS // frame.sample_rate
    return round(frame.duration_s * _NS)
