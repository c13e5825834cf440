"""Telephone keys as sound: the tones of ITU-T Q.23 made, and found in audio by the limits of ITU-T Q.24.

Rules of the detector
1. It listens at 8 kHz, to 20 ms at a time (under a Hann window) every 5 ms: one Goertzel sum for each of the eight
   frequencies. How far its phase has turned since the last one tells how far a tone is off its frequency.
2. A window holds a key when the strongest frequency of each group is within ``TOLERANCE`` of its place (1.5 % must be
   accepted, 3.5 % must not), not weaker than ``WEAKEST_DBFS``, the two differ by no more than Q.24 allows, and together
   they are ``PURITY`` of all the power there is. Speech has harmonics and hardly ever meets that for long.
3. A key is told once, as soon as ``_NEEDED`` windows hold it at its full level, which 40 ms always do and 30 ms never
   (23 ms must not); a gap of up to 10 ms within is overlooked.
4. After ``_GAP`` windows without it the same key can be pressed again: gaps of 10 ms never are enough, 40 ms always.
"""

from cmath import phase, rect
from collections.abc import Sequence
from math import log10, pi, sin
from typing import Final, final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from .._documented import documented
from .channels import mix_channels
from .format import AudioFormat
from .resample import Resampler

__all__ = ["DTMFDetected", "DTMFDetector", "dtmf_tones"]

LOW_HZ: Final = (697, 770, 852, 941)
HIGH_HZ: Final = (1209, 1336, 1477, 1633)
KEYS: Final = ("123A", "456B", "789C", "*0#D")
"""One string for each low frequency, one character for each high one."""

TOLERANCE: Final = 0.024
WEAKEST_DBFS: Final = -42.0
PURITY: Final = 0.75
HIGH_OVER_LOW_DB: Final = (-9.0, 5.0)

_EDGE_S: Final = 0.003
_RATE: Final = 8_000
_WINDOW: Final = 160
_HOP: Final = 40
_NEEDED: Final = 6
_OVERLOOKED: Final = 3
_GAP: Final = 5
_FULL_LEVEL_DB: Final = 4.0

_Floats = npt.NDArray[np.float64]
_INT16: Final = np.dtype("<i2")


def _frequencies(digit: str) -> tuple[int, int]:
    for low, row in zip(LOW_HZ, KEYS, strict=True):
        if len(digit) == 1 and digit in row:
            return low, HIGH_HZ[row.index(digit)]
    raise ValueError(f"{digit!r} is not a key of a telephone: the keys are {' '.join(''.join(KEYS))}")


def dtmf_tones(
    digits: str,
    audio_format: AudioFormat,
    *,
    tone_s: float = 0.1,
    gap_s: float = 0.1,
    level_dbfs: float = -8.0,
) -> bytes:
    """Return the tones of ``digits`` one after another, each followed by a gap.

    ``level_dbfs`` is that of the higher frequency; the lower one is 2 dB below it, since lines weaken the higher more.

    Each tone lasts ``tone_s`` seconds and each gap ``gap_s``: shorter ones than 0.04 are not heard by every line.
    """
    if tone_s <= 0 or gap_s < 0:
        raise ValueError(f"tone_s must be above 0 and gap_s not below it, not {tone_s} and {gap_s}")
    if not -60 <= level_dbfs <= -6:
        raise ValueError(f"level_dbfs must be between -60 and -6, above which the two tones clip, not {level_dbfs}")
    if audio_format.sample_rate < 2.2 * max(HIGH_HZ):
        raise ValueError(f"{audio_format} cannot carry a tone of {max(HIGH_HZ)} Hz: use 8000 Hz or more")
    rate = audio_format.sample_rate
    samples = max(audio_format.samples_in(tone_s), 1)
    at = np.arange(samples)
    edge = min(_EDGE_S * rate, samples / 2)
    envelope = np.sin(np.minimum(np.minimum(at + 0.5, samples - at - 0.5) / edge, 1.0) * (pi / 2)) ** 2
    gap = bytes(2 * audio_format.samples_in(gap_s))
    high = 32767 * 10 ** (level_dbfs / 20)
    low = high * 10 ** (-2 / 20)
    parts = []
    for digit in digits:
        low_hz, high_hz = _frequencies(digit)
        tone = low * np.sin(2 * pi * low_hz / rate * at) + high * np.sin(2 * pi * high_hz / rate * at)
        parts += [np.rint(envelope * tone).astype(_INT16).tobytes(), gap]
    return mix_channels(b"".join(parts), 1, audio_format.num_channels)


@documented
@final
@frozen
class DTMFDetected:
    """``at_s``: seconds of audio, since ``start``, before the key was pressed."""

    digit: str
    """The key: ``0`` to ``9``, ``*``, ``#``, ``A`` to ``D``."""
    at_s: float
    """When its tone began, in seconds of audio since ``start``."""


@final
@define
class _Candidate:
    """A key that may be being pressed: the levels of its windows, and where the first was."""

    digit: str
    window: int
    levels_db: list[float]
    missed: int = 0

    @property
    def is_certain(self) -> bool:
        least_db = max(self.levels_db) - _FULL_LEVEL_DB
        return sum(level_db >= least_db for level_db in self.levels_db) >= _NEEDED

    @property
    def began(self) -> int:
        """The first window at full level."""
        least_db = max(self.levels_db) - _FULL_LEVEL_DB
        return self.window + next(i for i, level_db in enumerate(self.levels_db) if level_db >= least_db)


_ALL_HZ: Final = LOW_HZ + HIGH_HZ
_TAPER: Final = np.hanning(_WINDOW + 1)[:-1]
_TURNS: Final = np.exp(-2j * pi / _RATE * np.outer(np.arange(_WINDOW), _ALL_HZ)) * _TAPER[:, np.newaxis]
_SUMS: Final = np.concatenate((_TURNS.real, _TURNS.imag), axis=1)
_EXPECTED_TURN: Final = tuple(rect(1.0, -2 * pi * hz * _HOP / _RATE) for hz in _ALL_HZ)
_POWER_SCALE: Final = 2 / _TAPER.sum() ** 2  # of a squared sum: the power of a sine
_TOTAL_SCALE: Final = 1 / (_TAPER**2).sum()
_WEAKEST: Final = 0.5 * 10 ** (WEAKEST_DBFS / 10)
_TWIST: Final = tuple(10 ** (db / 10) for db in HIGH_OVER_LOW_DB)


def _correction(place: int, sums: _Floats, before: _Floats) -> float:
    """What the window takes from the power of a tone that is off its place; 0 for one that is too far off."""
    turned = complex(sums[place], sums[place + 8]) * complex(before[place], -before[place + 8])
    off_hz = phase(turned * _EXPECTED_TURN[place]) * (_RATE / (2 * pi * _HOP))
    if abs(off_hz) > TOLERANCE * _ALL_HZ[place]:
        return 0.0
    off = off_hz * (_WINDOW / _RATE)
    share = sin(pi * off) / (pi * off * (1 - off * off)) if off else 1.0
    return 1 / (share * share)


@final
@define(eq=False)
class DTMFDetector:
    """Find keys in mono PCM that is given in order, in pieces of any size."""

    _resampler: Resampler | None = field(init=False, default=None)
    _waiting: _Floats = field(init=False, factory=lambda: np.zeros(0))
    _last: _Floats = field(init=False, factory=lambda: np.zeros(16))
    _window: int = field(init=False, default=0)
    _held: str | None = field(init=False, default=None)
    _without: int = field(init=False, default=0)
    _candidate: _Candidate | None = field(init=False, default=None)

    def start(self, sample_rate: int) -> None:
        """Prepare for mono PCM of that rate, in Hz. Called once before the first audio, and again after ``stop``."""
        resampler = Resampler(sample_rate, _RATE)
        self._resampler = resampler
        # Silence before the beginning, so that a tone right there is in the middle of windows too.
        self._waiting = np.zeros(_WINDOW - _HOP)
        self._last = np.zeros(16)
        self._window = 0
        self._held = self._candidate = None

    def detect(self, pcm: bytes) -> Sequence[DTMFDetected]:
        """Take the next audio; return the keys that became certain with it."""
        resampler = self._resampler
        if resampler is None:
            raise RuntimeError("DTMFDetector.detect was called before start(sample_rate) or after stop()")
        if len(pcm) % 2:
            raise ValueError(f"{len(pcm)} bytes are not whole 16-bit mono samples: pass an even number of bytes")
        new = np.frombuffer(resampler.process(pcm), _INT16) * (1 / 32768)
        waiting = np.concatenate((self._waiting, new))
        count = (len(waiting) - _WINDOW) // _HOP + 1
        if count <= 0:
            self._waiting = waiting
            return ()
        step = waiting.itemsize
        windows: _Floats = np.ndarray((count, _WINDOW), waiting.dtype, waiting, 0, (_HOP * step, step))
        found = []
        for digit, level_db in self._judged(np.ascontiguousarray(windows)):
            pressed = self._next(digit, level_db)
            if pressed is not None:
                found.append(pressed)
            self._window += 1
        self._waiting = waiting[count * _HOP :]
        return found

    def _judged(self, windows: _Floats) -> list[tuple[str | None, float]]:
        """For each window the key it holds, if any, and how loud; rules 1 and 2."""
        sums = np.dot(windows, _SUMS)
        squares = sums * sums
        power = (squares[:, :8] + squares[:, 8:]) * _POWER_SCALE
        rows = power[:, :4].argmax(axis=1).tolist()
        columns = power[:, 4:].argmax(axis=1).tolist()
        tapered = windows * _TAPER
        totals = (np.einsum("ij,ij->i", tapered, tapered) * _TOTAL_SCALE).tolist()
        result: list[tuple[str | None, float]] = []
        for index, (row, column, total) in enumerate(zip(rows, columns, totals, strict=True)):
            low_power, high_power = float(power[index, row]), float(power[index, column + 4])
            digit, level_db = None, 0.0
            # Most windows end here: a tone within tolerance loses less than half of itself between two places.
            if low_power + high_power >= 0.5 * max(PURITY * total, _WEAKEST):
                before = sums[index - 1] if index else self._last
                low_power *= _correction(row, sums[index], before)
                high_power *= _correction(column + 4, sums[index], before)
                if (
                    min(low_power, high_power) >= _WEAKEST
                    and _TWIST[0] * low_power <= high_power <= _TWIST[1] * low_power
                    and low_power + high_power >= PURITY * total
                ):
                    digit, level_db = KEYS[row][column], 10 * log10(low_power + high_power)
            result.append((digit, level_db))
        self._last = sums[-1]
        return result

    def _next(self, digit: str | None, level_db: float) -> DTMFDetected | None:
        """Take the verdict on the next window; rules 3 and 4."""
        if digit is not None and digit == self._held:
            self._without = 0
            self._candidate = None
            return None
        if self._held is not None:
            self._without += 1
            if self._without >= _GAP:
                self._held = None
        candidate = self._candidate
        if digit is None:
            if candidate is not None:
                candidate.missed += 1
                if candidate.missed > _OVERLOOKED:
                    self._candidate = None
            return None
        if candidate is None or candidate.digit != digit:
            candidate = self._candidate = _Candidate(digit, self._window, [])
        candidate.levels_db.append(level_db)
        candidate.missed = 0
        if not candidate.is_certain:
            return None
        self._held, self._without, self._candidate = digit, 0, None
        assert self._resampler is not None
        # The window's middle is a hop after the tone's beginning; the stream began with the silence of start.
        began = candidate.began * _HOP + _WINDOW / 2 - _HOP - (_WINDOW - _HOP)
        return DTMFDetected(digit, max(began / _RATE - self._resampler.delay_s, 0.0))

    def stop(self) -> None:
        """Let go of what ``start`` took; it can be started again."""
        self._resampler = None

    def fresh(self) -> "DTMFDetector":
        """One with the same settings for another call."""
        return DTMFDetector()
