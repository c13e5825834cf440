"""A noise gate: turns down what is between the words.

Rules
1. The gate opens with the first sample, of any channel, that reaches ``threshold_dbfs``.
2. It closes ``hold_s`` after the last one within ``HYSTERESIS_DB`` of it.
3. Open, it changes nothing; closed, it turns down by ``reduction_db``. It glides between the two in ``attack_s`` and
   ``release_s``.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, final

import numpy as np

from .._documented import documented
from .format import AudioFormat
from .ramp import Ramp
from .stage import Floats, Kernel, KernelFilter, Rows

__all__ = ["NoiseGate"]

HYSTERESIS_DB: Final = 6.0


@final
class _GateKernel:
    def __init__(self, audio_format: AudioFormat, settings: Mapping[str, float]) -> None:
        self._format = audio_format
        self._open = False
        self._since_loud = 0  # samples since the last that was loud enough to hold it open
        self._gain = Ramp(10 ** (-settings["reduction_db"] / 20))
        self.configure(settings)

    def configure(self, settings: Mapping[str, float]) -> None:
        self._opens_at = 32768 * 10 ** (settings["threshold_dbfs"] / 20)
        self._holds_at = self._opens_at * 10 ** (-HYSTERESIS_DB / 20)
        self._closed_gain = 10 ** (-settings["reduction_db"] / 20)
        self._hold = self._format.samples_in(settings["hold_s"])
        self._attack = self._format.samples_in(settings["attack_s"])
        self._release = self._format.samples_in(settings["release_s"])
        if not self._open and self._gain.target != self._closed_gain:
            self._gain.go(self._closed_gain, self._release)

    def run(self, rows: Rows) -> Floats | None:
        # As int32: the magnitude of -32768 does not fit into 16 bits.
        levels = np.abs(rows, dtype=np.int32)
        peaks = levels.max(axis=1) if levels.shape[1] > 1 else levels[:, 0]
        count = len(peaks)
        if not self._open and self._gain.is_steady and peaks.max() < self._opens_at:
            closed: Floats = np.multiply(rows, self._closed_gain, dtype=np.float64)
            return closed
        positions = np.arange(count)
        last_loud = np.where(peaks >= self._holds_at, positions, -1 - self._since_loud)
        np.maximum.accumulate(last_loud, out=last_loud)
        expired = positions - last_loud > self._hold
        opening = peaks >= self._opens_at
        gains: list[tuple[int, Floats | float]] = []
        at = 0
        while at < count:
            turns = (expired if self._open else opening)[at:]
            first = int(turns.argmax())
            length = first if turns[first] else count - at
            if length:
                gains.append((length, self._gain.take(length)))
            at += length
            if at < count:
                self._open = not self._open
                if self._open:
                    self._gain.go(1.0, self._attack)
                else:
                    self._gain.go(self._closed_gain, self._release)
        self._since_loud = min(count - 1 - int(last_loud[-1]), self._hold + 1)
        if len(gains) == 1 and isinstance(gains[0][1], float) and gains[0][1] == 1.0:
            return None
        gain = np.concatenate([np.broadcast_to(gain, length) for length, gain in gains])
        turned_down: Floats = np.multiply(rows, gain[:, np.newaxis], dtype=np.float64)
        return turned_down


@documented
@final
class NoiseGate(KernelFilter):
    """Turn down what stays below ``threshold_dbfs``.

    It opens within ``attack_s`` seconds, closes ``hold_s`` after the last loud sound within ``release_s``, and turns
    down by ``reduction_db`` decibels while closed. ``enabled=False`` passes audio on untouched until ``control``
    turns it on.
    """

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "threshold_dbfs": (-90.0, 0.0),
        "reduction_db": (0.0, 120.0),
        "attack_s": (0.0, 1.0),
        "hold_s": (0.0, 10.0),
        "release_s": (0.0, 10.0),
    }
    """Its settings by name, each with the least and the most that it can be."""

    def __init__(
        self,
        threshold_dbfs: float = -45.0,
        *,
        reduction_db: float = 40.0,
        attack_s: float = 0.005,
        hold_s: float = 0.15,
        release_s: float = 0.1,
        enabled: bool = True,
    ) -> None:
        super().__init__(
            enabled=enabled,
            threshold_dbfs=threshold_dbfs,
            reduction_db=reduction_db,
            attack_s=attack_s,
            hold_s=hold_s,
            release_s=release_s,
        )

    def _make(self, audio_format: AudioFormat, settings: Mapping[str, float]) -> Kernel:
        return _GateKernel(audio_format, settings)
