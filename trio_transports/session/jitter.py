"""Inbound audio in its order and evenly spaced, where a line promises neither: ``audio_in_jitter_ms``.

Rules
1. A frame's ``pts`` (nanoseconds) says its place. One that comes without stands behind all that came before it.
2. Audio is given on when it is due: its place after the earliest that came, and ``delay_s``. So none waits longer than
   that, and a burst after a stall is given on at once.
3. What is not there when it is due is concealed: the last frame again, fading away over ``CONCEAL_S``. After that the
   stream pauses, and what comes next begins anew. Without ``pts`` nothing tells lost audio from a pause: nothing is
   concealed.
4. What comes after it was concealed, or twice, is dropped and counted as late; what overtook another is counted too.
5. A place more than ``MAX_AHEAD_S`` ahead is another stream's: what waits is given on, and it begins anew. At most
   ``MAX_WAITING`` frames wait.
6. Each destination's audio has its own order and time.
"""

from bisect import insort
from math import inf
from typing import Final, final

import numpy as np
from attrs import define, field

from ..frames import AudioFrame, checked_audio_frame
from .statistics import Counters

CONCEAL_S: Final = 0.1
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
    _waiting: list[tuple[int, AudioFrame]] = field(factory=list, init=False)
    _runs: bool = field(default=False, init=False)
    _next_ns: int = field(default=0, init=False)
    """The place of what is given on next."""
    _newest_ns: int = field(default=0, init=False)
    _end_ns: int = field(default=0, init=False)
    """Where the newest that came ends: the place of what comes without ``pts``."""
    _offset_s: float = field(default=0.0, init=False)
    """What is at place p is due at p + this."""
    _last: AudioFrame | None = field(default=None, init=False)
    """What can be repeated; None where there is no telling what is lost."""
    _concealed_s: float = field(default=0.0, init=False)

    def put(self, frame: AudioFrame, now_s: float) -> list[AudioFrame]:
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
            over.append(self._take())
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

    def ready(self, now_s: float) -> list[AudioFrame]:
        """Give on what is due, and what takes the place of what is missing."""
        frames: list[AudioFrame] = []
        while self._runs and self.due_s <= now_s + 1e-9:
            missing_ns = self._waiting[0][0] - self._next_ns if self._waiting else _NS
            if self._waiting and (missing_ns <= _ROUNDING_NS or self._last is None):
                frames.append(self._take())
            elif self._last is not None and self._concealed_s < CONCEAL_S:
                frames.append(self._conceal(self._last, missing_ns))
            elif self._waiting:
                self._next_ns = self._waiting[0][0]
            else:
                self._runs = False
        return frames

    def flush(self) -> list[AudioFrame]:
        """Give on all that waits, in its order: no more of this stream comes."""
        frames = [frame for _, frame in self._waiting]
        self._waiting.clear()
        self._runs, self._last, self._concealed_s = False, None, 0.0
        return frames

    def _take(self) -> AudioFrame:
        place, frame = self._waiting.pop(0)
        self._next_ns = place + _length_ns(frame)
        self._concealed_s = 0.0
        self._last = frame if frame.pts is not None and frame.audio else None
        return frame

    def _conceal(self, last: AudioFrame, missing_ns: int) -> AudioFrame:
        """Make the next piece of a repeat that fades away; rule 3."""
        pcm = np.frombuffer(last.audio, "<i2").reshape(-1, last.num_channels)
        left_s = min(missing_ns / _NS, CONCEAL_S - self._concealed_s)
        pcm = pcm[: max(1, min(len(pcm), round(left_s * last.sample_rate)))]
        length_s = len(pcm) / last.sample_rate
        gains = 1 - (self._concealed_s + np.arange(len(pcm)) / last.sample_rate) / CONCEAL_S
        faded = np.rint(pcm * np.clip(gains, 0, 1).reshape(-1, 1)).astype("<i2").tobytes()
        frame = checked_audio_frame(faded, last.sample_rate, last.num_channels, self._next_ns, last.destination)
        self._concealed_s += length_s
        self._next_ns += round(length_s * _NS)
        self._counters.audio_in_concealed_s += length_s
        return frame


@final
@define(eq=False)
class JitterBuffers:
    """One for each destination: two sides of a line that speak at one time are no doubles of each other."""

    _delay_s: float
    _counters: Counters
    _buffers: dict[str | None, JitterBuffer] = field(factory=dict, init=False)

    def put(self, frame: AudioFrame, now_s: float) -> list[AudioFrame]:
        buffer = self._buffers.get(frame.destination)
        if buffer is None:
            buffer = self._buffers[frame.destination] = JitterBuffer(self._delay_s, self._counters)
        return buffer.put(frame, now_s)

    @property
    def due_s(self) -> float:
        return min((buffer.due_s for buffer in self._buffers.values()), default=inf)

    def ready(self, now_s: float) -> list[AudioFrame]:
        return [frame for buffer in self._buffers.values() for frame in buffer.ready(now_s)]

    def flush(self) -> list[AudioFrame]:
        return [frame for buffer in self._buffers.values() for frame in buffer.flush()]


def _place(waiting: tuple[int, AudioFrame]) -> int:
    return waiting[0]


def _length_ns(frame: AudioFrame) -> int:
    return frame.num_samples * _NS // frame.sample_rate
