"""A high-pass: takes out rumble, hum and DC below the voice.

Rules
1. A second-order Butterworth filter, 12 dB per octave, by the bilinear transform with its cutoff in the right place.
2. The recursion is unrolled into blocks: a block's outputs are one matrix product of its inputs plus what the two
   outputs before the block contribute. Only those two go from block to block, in plain arithmetic.
3. What is left of a sound that ended is dropped below 1e-9 of a step, where floats would become slow.
"""

from collections.abc import Mapping
from math import pi, sqrt, tan
from typing import ClassVar, Final, final

import numpy as np

from .._documented import documented
from .format import AudioFormat
from .stage import Floats, Kernel, KernelFilter, Rows

__all__ = ["HighPass"]

_BLOCK: Final = 64
_NOTHING: Final = 1e-9


@final
class _HighPassKernel:
    def __init__(self, audio_format: AudioFormat, settings: Mapping[str, float]) -> None:
        self._rate = audio_format.sample_rate
        channels = audio_format.num_channels
        self._inputs: Floats = np.zeros((channels, 2))  # the last two, older first
        self._outputs = [(0.0, 0.0)] * channels  # the last two, newer first
        self.configure(settings)

    def configure(self, settings: Mapping[str, float]) -> None:
        cutoff_hz = settings["cutoff_hz"]
        if cutoff_hz >= self._rate / 2:
            raise ValueError(
                f"HighPass.cutoff_hz must be below half the sample rate: {cutoff_hz:g} Hz is too high for {self._rate}"
            )
        warped = tan(pi * cutoff_hz / self._rate)
        norm = 1 / (1 + sqrt(2) * warped + warped * warped)
        self._gain = norm
        a1, a2 = 2 * (warped * warped - 1) * norm, (1 - sqrt(2) * warped + warped * warped) * norm
        # Responses of y[n] = x[n] - a1 y[n-1] - a2 y[n-2]: to a click, and to either of the outputs before a block.
        click = np.zeros(_BLOCK)
        newer, older = np.zeros(_BLOCK), np.zeros(_BLOCK)
        for response, y1, y2, x in ((click, 0.0, 0.0, 1.0), (newer, 1.0, 0.0, 0.0), (older, 0.0, 1.0, 0.0)):
            first, second = y1, y2
            for index in range(_BLOCK):
                first, second = (x if index == 0 else 0.0) - a1 * first - a2 * second, first
                response[index] = first
        shift = np.arange(_BLOCK) - np.arange(_BLOCK)[:, np.newaxis]
        self._block: Floats = np.where(shift >= 0, click[np.maximum(shift, 0)], 0.0)
        self._before: Floats = np.stack((newer, older))
        self._last: list[list[float]] = self._before[:, -2:].tolist()

    def run(self, rows: Rows) -> Floats:
        count, channels = rows.shape
        blocks = -(-count // _BLOCK)
        inputs = np.empty((channels, count + 2))
        inputs[:, :2] = self._inputs
        inputs[:, 2:] = rows.T
        self._inputs = inputs[:, -2:].copy()
        driven = np.zeros((channels, blocks * _BLOCK))
        used = driven[:, :count]
        np.add(inputs[:, 2:], inputs[:, :-2], out=used)
        used -= 2 * inputs[:, 1:-1]
        used *= self._gain
        result: Floats = np.dot(driven.reshape(-1, _BLOCK), self._block)
        result += np.dot(self._states(result, channels, blocks), self._before)
        flat = result.reshape(channels, -1)[:, :count]
        for channel, (newer, older) in enumerate(flat[:, -2:].tolist() if count > 1 else ()):
            self._outputs[channel] = _flushed(older, newer)
        if count == 1:
            self._outputs = [(float(flat[index, 0]), before[0]) for index, before in enumerate(self._outputs)]
        return np.ascontiguousarray(flat.T)

    def _states(self, driven: Floats, channels: int, blocks: int) -> Floats:
        """The two outputs before each block."""
        (newer_older, newer_newer), (older_older, older_newer) = self._last
        states = []
        ends = driven[:, -2:].tolist()
        for channel in range(channels):
            newer, older = self._outputs[channel]
            for end_older, end_newer in ends[channel * blocks : (channel + 1) * blocks]:
                states.append((newer, older))
                newer, older = (
                    end_newer + newer_newer * newer + older_newer * older,
                    end_older + newer_older * newer + older_older * older,
                )
        return np.array(states)


def _flushed(newer: float, older: float) -> tuple[float, float]:
    if abs(newer) < _NOTHING and abs(older) < _NOTHING:
        return 0.0, 0.0
    return newer, older


@documented
@final
class HighPass(KernelFilter):
    """Take out what is below ``cutoff_hz``.

    ``enabled=False`` passes audio on untouched until ``control`` turns it on.
    """

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"cutoff_hz": (1.0, 20_000.0)}
    """Its settings by name, each with the least and the most that it can be."""

    def __init__(self, cutoff_hz: float = 80.0, *, enabled: bool = True) -> None:
        super().__init__(enabled=enabled, cutoff_hz=cutoff_hz)

    def _make(self, audio_format: AudioFormat, settings: Mapping[str, float]) -> Kernel:
        return _HighPassKernel(audio_format, settings)
