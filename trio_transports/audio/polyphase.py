"""The two ways the resampler computes: in blocks, for ratios of small terms, and point by point, for all others.

Both are given samples and return all outputs that these complete. Output ``m`` stands at input time ``m * down / up``
and is made of the input up to there, so none is ever late.

Rules of the blocks
1. After ``up`` outputs, or some multiple of it, the same coefficients come again: a period.
2. A period is one or more blocks. A block is one matrix product of windows of the input with a banded matrix: one
   column for each output. What a block computes too much is cut away.
"""

from functools import lru_cache
from typing import Final, final

import numpy as np
import numpy.typing as npt
from attrs import frozen

from .lowpass import HALF_LENGTH, Floats, coefficients

SEGMENT: Final = 2_048
"""The most samples that are taken at once."""

_LARGEST_TERM: Final = 1_280  # 32 kHz against 11.025 kHz
_LARGEST_PLAN: Final = 1 << 19  # numbers in the matrices of one ratio: 4 MB
_BLOCK_OUTPUTS: Final = (16, 160)  # fewer: calls cost more than arithmetic; more: the band is mostly zeros
_FINENESS: Final = 512  # phases of the grid for each sample of the lower rate
_BATCH: Final = 1 << 14  # coefficients at once, point by point: what a cache holds
_FLOAT: Final = np.dtype(np.float64)

Samples = npt.NDArray[np.int16]
"""One row for each channel."""


@final
@frozen(eq=False)
class Plan:
    """What all resamplers of one ratio share. ``blocks``: (input offset, first output, matrix) in one period."""

    up: int
    down: int
    taps: int
    period_in: int
    period_out: int
    block_outputs: int
    blocks: tuple[tuple[int, int, Floats], ...]
    reach: int


def _taps(up: int, down: int) -> int:
    return 2 * HALF_LENGTH * max(up, down) // up + 1


def _periods(up: int) -> int:
    """Periods taken as one, so that a block is worth its call."""
    periods = 1
    while up * periods < _BLOCK_OUTPUTS[0]:
        periods *= 2
    return periods


def fits_blocks(up: int, down: int) -> bool:
    outputs = up * _periods(up)
    width = _taps(up, down) + min(outputs, _BLOCK_OUTPUTS[1]) * down // up
    return max(up, down) <= _LARGEST_TERM and outputs * width <= _LARGEST_PLAN


def _places(phases: Floats, taps: int, up: int, down: int) -> Floats:
    """For each phase, where the newest sample and those before it stand in the low-pass."""
    scale = max(up, down)
    return (phases[:, np.newaxis] + np.arange(taps, dtype=np.int64) * up - HALF_LENGTH * scale) / scale


@lru_cache(maxsize=16)
def plan(up: int, down: int) -> Plan:
    rows = coefficients(_places(np.arange(up, dtype=np.float64), _taps(up, down), up, down))
    taps = rows.shape[1]
    periods = _periods(up)
    period_in, period_out = down * periods, up * periods
    block_outputs = min(period_out, _BLOCK_OUTPUTS[1])
    blocks = []
    for first in range(0, period_out, block_outputs):
        outputs = range(first, min(first + block_outputs, period_out))
        offset = first * down // up
        matrix = np.zeros((outputs[-1] * down // up - offset + taps, len(outputs)))
        for column, output in enumerate(outputs):
            newest, phase = divmod(output * down, up)
            matrix[newest - offset : newest - offset + taps, column] = rows[phase, ::-1]
        blocks.append((offset, first, matrix))
    reach = max(offset + len(matrix) for offset, _, matrix in blocks)
    return Plan(up, down, taps, period_in, period_out, block_outputs, tuple(blocks), reach)


@final
class Blocks:
    """The state of one stream, for a ratio that ``fits_blocks``."""

    def __init__(self, up: int, down: int, num_channels: int) -> None:
        self._plan = plan(up, down)
        self._channels = num_channels
        self._buffer = np.zeros((num_channels, SEGMENT + 2 * self._plan.period_in + self._plan.reach))
        self._held = 0  # samples since the start of the period that is being filled
        self._given = 0  # outputs of that period that have gone out

    def push(self, samples: Samples) -> Floats:
        plan, buffer = self._plan, self._buffer
        history = plan.taps - 1
        held = self._held + samples.shape[-1]
        buffer[:, history + self._held : history + held] = samples
        given, ready = self._given, -(-held * plan.up // plan.down)
        if len(plan.blocks) == 1:
            outputs = self._product(0, -(-ready // plan.period_out), plan.blocks[0][2])
        else:
            outputs = self._needed(given, ready)
        result = outputs.reshape(self._channels, -1)[:, given:ready]

        done = held // plan.period_in
        self._held = held - done * plan.period_in
        self._given = ready - done * plan.period_out
        if done:
            buffer[:, : history + self._held] = buffer[:, done * plan.period_in : history + held]
        return result

    def _needed(self, given: int, ready: int) -> Floats:
        """Compute the blocks that hold outputs ``given`` to ``ready``, each for all periods that need it."""
        plan = self._plan
        per_period = len(plan.blocks)
        periods, rest = divmod(given, plan.period_out)
        first_block = periods * per_period + rest // plan.block_outputs
        periods, rest = divmod(ready - 1, plan.period_out)
        end_block = periods * per_period + rest // plan.block_outputs + 1
        outputs = np.empty((self._channels, periods + 1, plan.period_out))
        for index, (offset, first, matrix) in enumerate(plan.blocks):
            first_row = -((index - first_block) // per_period)
            end_row = -((index - end_block) // per_period)
            if first_row < end_row:
                product = self._product(first_row * plan.period_in + offset, end_row - first_row, matrix)
                outputs[:, first_row:end_row, first : first + matrix.shape[1]] = product
        return outputs

    def _product(self, start: int, rows: int, matrix: Floats) -> Floats:
        """Multiply ``rows`` windows of the buffer, one period apart from ``start`` on, with a block's matrix."""
        buffer, channels, width = self._buffer, self._channels, len(matrix)
        stride = _FLOAT.itemsize
        windows: Floats = np.ndarray(
            (channels, rows, width),
            _FLOAT,
            buffer,
            start * stride,
            (buffer.strides[0], self._plan.period_in * stride, stride),
        )
        product: Floats = np.dot(windows.reshape(channels * rows, width), matrix)
        return product.reshape(channels, rows, -1)


@lru_cache(maxsize=16)
def _grid(up: int, down: int) -> tuple[int, Floats]:
    """Coefficients for evenly spaced phases, from 0 to ``up`` itself, and how many steps there are between."""
    steps = max(_FINENESS * up // max(up, down), 2)
    # The last phase is the first one of the sample after: it needs one tap more.
    phases: Floats = np.arange(steps + 1, dtype=np.float64) * up / steps
    return steps, coefficients(_places(phases, _taps(up, down) + 1, up, down))


@final
class Points:
    """The state of one stream of any ratio: each output lies between two phases of a grid, and so do its sums."""

    def __init__(self, up: int, down: int, num_channels: int) -> None:
        self._up, self._down = up, down
        self._steps, self._grid = _grid(up, down)
        self._taps = self._grid.shape[1]
        self._buffer: Floats = np.zeros((num_channels, self._taps - 1))
        self._backwards = np.arange(self._taps - 1, -1, -1)
        self._phase = 0  # where the next output stands, in shares of up, after the first sample past the history

    def push(self, samples: Samples) -> Floats:
        up, down, taps = self._up, self._down, self._taps
        buffer: Floats = np.concatenate((self._buffer, np.atleast_2d(samples)), axis=1)
        held = buffer.shape[1] - (taps - 1)
        count = max(-(-(held * up - self._phase) // down), 0)
        result = np.empty((len(buffer), count))
        batch = max(_BATCH // taps, 1)
        for first in range(0, count, batch):
            at = self._phase + np.arange(first, min(first + batch, count), dtype=np.int64) * down
            result[:, first : first + len(at)] = self._points(buffer, at)
        gone, self._phase = divmod(self._phase + count * down, up)
        if gone > held:  # the next output stands beyond what has come: keep the distance in the phase
            self._phase += (gone - held) * up
            gone = held
        self._buffer = buffer[:, gone:]
        return result

    def _points(self, buffer: Floats, at: npt.NDArray[np.int64]) -> Floats:
        newest, phases = np.divmod(at, self._up)
        steps, rest = np.divmod(phases * self._steps, self._up)
        share = rest / self._up
        before, after = self._grid[steps], self._grid[steps + 1]
        places = newest[:, np.newaxis] + self._backwards
        result = np.empty((len(buffer), len(at)))
        for channel, samples in enumerate(buffer):
            windows = samples[places]
            low, high = np.einsum("ij,ij->i", windows, before), np.einsum("ij,ij->i", windows, after)
            result[channel] = low + share * (high - low)
        return result
