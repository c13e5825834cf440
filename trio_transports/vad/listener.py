"""What all analyzers have in common: windows cut out of audio of any rate, the volume, and when to believe a window.

Rules
1. The analyzers listen at 16 kHz, or at 8 kHz where the audio has less; other rates are resampled, and the resampler's
   delay is taken off all times.
2. Volume is the level of a window on a scale where 1 is 0 dBFS and 0 is -100 dBFS, so ``min_volume=0.6`` is -40 dBFS.
   It rises at once and falls by ``_RELEASE_DB_PER_S``, so weak sounds between loud ones count as loud.
3. A window has speech when its confidence and its volume reach the parameters. While somebody speaks,
   ``_HYSTERESIS`` less confidence will do, so speech does not flicker at the threshold.
4. Windows are long, and overlap: that speech is in the last of them is known to 16 ms. Where in it the sound ended is
   looked up when a window without speech follows, to the millisecond: the last one whose level is nearer, in decibels,
   to what was loudest just before than to what is there now, and no more than ``_TAIL_DB`` below the former.
"""

from collections import deque
from collections.abc import Callable
from math import log10
from typing import Final, final

import numpy as np
import numpy.typing as npt
from attrs import define, field

from ..audio.resample import Resampler
from .analyzer import SpeechEvent, SpeechStopped, VADParams
from .machine import SpeechMachine, SpeechState

Samples = npt.NDArray[np.float32]

_HYSTERESIS: Final = 0.15
_RELEASE_DB_PER_S: Final = 60.0
_QUIETEST_DB: Final = -100.0
_TAIL_DB: Final = 30.0
_PAST_HOPS: Final = 4
_INT16: Final = np.dtype("<i2")
_SCALE: Final = np.float32(1 / 32768)


def listening_rate(sample_rate: int) -> int:
    return 16_000 if sample_rate >= 16_000 else 8_000


@final
@define(eq=False)
class Listener:
    """The state of one stream. ``hop`` samples are new in each window of ``window`` samples."""

    params: VADParams
    sample_rate: int
    window: int
    hop: int
    _resampler: Resampler = field(init=False)
    _machine: SpeechMachine = field(init=False)
    _rate: int = field(init=False)
    _waiting: Samples = field(init=False)
    _release: float = field(init=False)
    _at: int = field(init=False)  # where the next window's hop begins, in samples at the listening rate
    _level_db: float = field(init=False, default=_QUIETEST_DB)
    _offset: float = field(init=False)
    _past: "deque[Samples]" = field(init=False, factory=lambda: deque(maxlen=_PAST_HOPS))
    _ended_s: float = field(init=False, default=0.0)
    """Where the sound of the last speech ended; rule 4."""

    def __attrs_post_init__(self) -> None:
        self._rate = listening_rate(self.sample_rate)
        self._resampler = Resampler(self.sample_rate, self._rate)
        self._machine = SpeechMachine(self.params)
        self._waiting = np.zeros(self.window - self.hop, np.float32)
        self._release = _RELEASE_DB_PER_S * self.hop / self._rate
        # A window that overlaps its neighbours speaks of its middle.
        self._offset = self._resampler.delay_s * self._rate + (self.window - self.hop) / 2
        self._at = 0

    def feed(self, pcm: bytes, judge: Callable[[Samples], float]) -> list[SpeechEvent]:
        """Give each window that ``pcm`` completes to ``judge``, for its confidence, and return what came of it."""
        if len(pcm) % 2:
            raise ValueError(f"{len(pcm)} bytes are not whole 16-bit mono samples: pass an even number of bytes")
        new = np.frombuffer(self._resampler.process(pcm), _INT16)
        waiting = np.concatenate((self._waiting, new * _SCALE))
        hop, window, rate = self.hop, self.window, self._rate
        events: list[SpeechEvent] = []
        start = 0
        while len(waiting) - start >= window:
            samples = waiting[start : start + window]
            self._past.append(samples[window - hop :])
            has_speech = self._believes(judge(samples), self._past[-1])
            begin = self._at - self._offset
            may_have_ended = self._machine.state is SpeechState.SPEAKING and not has_speech
            event = self._machine.step(has_speech, max(begin, 0.0) / rate, max(begin + hop, 0.0) / rate)
            if may_have_ended:
                self._ended_s = self._end_of_sound(begin)
            if event is not None:
                events.append(SpeechStopped(self._ended_s) if isinstance(event, SpeechStopped) else event)
            start += hop
            self._at += hop
        self._waiting = waiting[start:]
        return events

    def _end_of_sound(self, latest: float) -> float:
        """Rule 4; ``latest`` is where the last window with speech ends, in samples."""
        size = self._rate // 1000
        blocks = np.concatenate(self._past).reshape(-1, size)
        levels_db = 10 * np.log10(np.einsum("ij,ij->i", blocks, blocks) / size + 1e-10)
        now = self.hop // size
        if len(levels_db) == now:
            return max(latest, 0.0) / self._rate
        loudest_db, now_db = float(levels_db[:-now].max()), float(levels_db[-now:].mean())
        needed_db = max((loudest_db + now_db) / 2, loudest_db - _TAIL_DB)
        after = len(levels_db) - 1 - int(np.flatnonzero(levels_db >= needed_db)[-1])
        sound = self._at + self.hop - after * size - self._resampler.delay_s * self._rate
        return max(min(max(sound, latest - self.window), latest), 0.0) / self._rate

    def _believes(self, confidence: float, new: Samples) -> bool:
        power = float(np.dot(new, new)) / len(new) - (float(new.sum()) / len(new)) ** 2
        level_db = 10 * log10(power) if power > 1e-10 else _QUIETEST_DB
        self._level_db = max(level_db, self._level_db - self._release)
        needed = self.params.confidence - (_HYSTERESIS if self._machine.is_speaking else 0.0)
        return confidence >= needed and 1 - self._level_db / _QUIETEST_DB >= self.params.min_volume
