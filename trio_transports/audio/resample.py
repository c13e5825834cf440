"""A streaming resampler: PCM at one rate in, PCM at another out, in pieces of any size.

Rules
1. It is a polyphase FIR: the input as if filled up with zeros to ``up`` times its rate, low-passed, every ``down``-th
   value kept, without computing what is not kept. ``up / down`` is the ratio of the rates in lowest terms.
2. The low-pass is a Kaiser-windowed sinc, ``HALF_LENGTH`` samples of the lower rate to each side: flat within 0.1 dB up
   to 90 % of the lower Nyquist frequency, below -80 dB from that frequency on, so nothing folds back that can be heard.
   Being symmetric it delays all frequencies by the same ``HALF_LENGTH / min(rates)`` seconds.
3. Nothing depends on how the input was cut, to the last bit. Coefficients are multiples of 2**-32 and samples are
   16-bit, so every product and sum is exact in a float64, in whatever order the BLAS adds them. Rounding comes after.
4. After ``n`` samples in, ``ceil(n * up / down)`` have come out. 20 ms in is 20 ms out wherever that is whole samples.
5. Each phase's coefficients add up to exactly 1: silence stays silence and a constant stays that constant.
6. Outputs come in blocks. A block is one matrix product of windows of the input with a banded matrix; a period of
   outputs (after which the phases repeat) is one or more blocks. What a block computes too much is cut away.
"""

from functools import lru_cache
from math import gcd
from typing import Final, final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

Floats = npt.NDArray[np.float64]

HALF_LENGTH: Final = 48
_BETA: Final = 8.5
_CUTOFF: Final = 0.943  # of the lower Nyquist frequency; with the two above: 0.07 dB at 0.9, -85 dB from 1.0 on
_COEFFICIENT_ONE: Final = 2.0**32

MIN_RATE: Final = 1_000
MAX_RATE: Final = 384_000
_MAX_TERM: Final = 2_560  # 192 kHz against 11.025 kHz; what lies beyond would need tables of tens of megabytes
_BLOCK_OUTPUTS: Final = (16, 160)  # fewer: calls cost more than arithmetic; more: the band is mostly zeros
_SEGMENT: Final = 2_048  # samples taken at once, so that one huge call needs no huge buffer
_FLOAT: Final = np.dtype(np.float64)
_INT16: Final = np.dtype("<i2")
_LOWEST: Final = np.array(-32768.0)  # as arrays: a Python number costs each ufunc call 0.3 microseconds more
_HIGHEST: Final = np.array(32767.0)


@final
@frozen(eq=False)
class _Plan:
    """What every resampler of one ratio shares. ``blocks``: (input offset, first output, matrix) in one period."""

    up: int
    down: int
    taps: int
    period_in: int
    period_out: int
    block_outputs: int
    blocks: tuple[tuple[int, int, Floats], ...]
    reach: int
    tail: int


@lru_cache(maxsize=32)
def _plan(up: int, down: int) -> _Plan:
    phases = _phases(up, down)
    taps = phases.shape[1]
    smallest, largest = _BLOCK_OUTPUTS
    repeats = 1
    while up * repeats < smallest:
        repeats *= 2
    period_in, period_out = down * repeats, up * repeats
    block_outputs = min(period_out, largest)
    blocks = []
    for first in range(0, period_out, block_outputs):
        outputs = range(first, min(first + block_outputs, period_out))
        offset = first * down // up
        width = outputs[-1] * down // up - offset + taps
        matrix = np.zeros((width, len(outputs)))
        for column, output in enumerate(outputs):
            newest, phase = divmod(output * down, up)
            matrix[newest - offset : newest - offset + taps, column] = phases[phase, ::-1]
        blocks.append((offset, first, matrix))
    return _Plan(
        up=up,
        down=down,
        taps=taps,
        period_in=period_in,
        period_out=period_out,
        block_outputs=block_outputs,
        blocks=tuple(blocks),
        reach=max(offset + len(matrix) for offset, _, matrix in blocks),
        tail=-(-HALF_LENGTH * max(up, down) // up),
    )


def _phases(up: int, down: int) -> Floats:
    """One row of coefficients for each phase, newest sample first."""
    oversampling = max(up, down)
    half = HALF_LENGTH * oversampling
    at = np.arange(-half, half + 1)
    response = np.sinc(at * (_CUTOFF / oversampling)) * np.i0(_BETA * np.sqrt(1 - (at / half) ** 2))
    taps = -(-len(response) // up)
    phases = np.pad(response, (0, taps * up - len(response))).reshape(taps, up).T
    exact: Floats = np.rint(phases / phases.sum(axis=1, keepdims=True) * _COEFFICIENT_ONE)
    rows = np.arange(up)
    exact[rows, np.abs(exact).argmax(axis=1)] += _COEFFICIENT_ONE - exact.sum(axis=1)
    return exact / _COEFFICIENT_ONE


def check_rate(name: str, rate: int) -> None:
    if type(rate) is not int:
        raise TypeError(f"{name} must be an int, not {rate!r}")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"{name} must be between {MIN_RATE} and {MAX_RATE} Hz to be resampled, not {rate}")


@final
@define(eq=False)
class Resampler:
    """Turn PCM of ``in_rate`` into PCM of ``out_rate``. Equal rates return the very object that was given."""

    in_rate: int = field()
    out_rate: int = field()
    num_channels: int = field(default=1)
    _plan: _Plan | None = field(init=False, repr=False)
    _buffer: Floats = field(init=False, repr=False)
    _held: int = field(init=False, repr=False, default=0)  # samples since the start of the period being filled
    _given: int = field(init=False, repr=False, default=0)  # outputs of that period that have gone out
    _started: bool = field(init=False, repr=False, default=False)

    def __attrs_post_init__(self) -> None:
        check_rate("Resampler.in_rate", self.in_rate)
        check_rate("Resampler.out_rate", self.out_rate)
        if type(self.num_channels) is not int or self.num_channels < 1:
            raise ValueError(f"Resampler.num_channels must be an int of at least 1, not {self.num_channels!r}")
        if self.in_rate == self.out_rate:
            self._plan = None
            self._buffer = np.zeros((self.num_channels, 0))
            return
        divisor = gcd(self.in_rate, self.out_rate)
        up, down = self.out_rate // divisor, self.in_rate // divisor
        if max(up, down) > _MAX_TERM:
            raise ValueError(
                f"cannot resample {self.in_rate} Hz to {self.out_rate} Hz: the ratio {up}:{down} has a term above "
                f"{_MAX_TERM}; use rates with a larger common divisor"
            )
        self._plan = plan = _plan(up, down)
        self._buffer = np.zeros((self.num_channels, _SEGMENT + 2 * plan.period_in + plan.reach))

    @property
    def delay_s(self) -> float:
        """How much later a sound stands in the output than in the input."""
        return 0.0 if self._plan is None else HALF_LENGTH / min(self.in_rate, self.out_rate)

    def process(self, pcm: bytes) -> bytes:
        """Return what can be computed from the audio so far; fewer or more bytes than ``pcm``, never late."""
        plan = self._plan
        if plan is None:
            return pcm
        channels = self.num_channels
        if len(pcm) % (2 * channels):
            raise ValueError(
                f"{len(pcm)} bytes are not whole samples of {channels} channels: "
                f"pass a multiple of {2 * channels} bytes"
            )
        if not pcm:
            return b""
        self._started = True
        samples = np.frombuffer(pcm, _INT16)
        if channels > 1:
            samples = samples.reshape(-1, channels)
        if len(samples) <= _SEGMENT:
            return self._segment(plan, samples.T)
        pieces = [samples[start : start + _SEGMENT].T for start in range(0, len(samples), _SEGMENT)]
        return b"".join([self._segment(plan, piece) for piece in pieces])

    def _segment(self, plan: _Plan, samples: npt.NDArray[np.int16]) -> bytes:
        buffer, channels = self._buffer, self.num_channels
        history = plan.taps - 1
        held = self._held + samples.shape[-1]
        buffer[:, history + self._held : history + held] = samples
        given, ready = self._given, -(-held * plan.up // plan.down)

        period_out = plan.period_out
        per_period = len(plan.blocks)
        if per_period == 1:
            rows = -(-ready // period_out)
            _, _, matrix = plan.blocks[0]
            outputs = self._product(plan, 0, rows, matrix)
        else:
            first_block, rest = divmod(given, period_out)
            first_block = first_block * per_period + rest // plan.block_outputs
            periods, rest = divmod(ready - 1, period_out)
            end_block = periods * per_period + rest // plan.block_outputs + 1
            outputs = np.empty((channels, periods + 1, period_out))
            for index, (offset, first, matrix) in enumerate(plan.blocks):
                first_row = -((index - first_block) // per_period)
                end_row = -((index - end_block) // per_period)
                if first_row < end_row:
                    outputs[:, first_row:end_row, first : first + matrix.shape[1]] = self._product(
                        plan, first_row * plan.period_in + offset, end_row - first_row, matrix
                    )
        result = outputs.reshape(channels, -1)[:, given:ready]

        done = held // plan.period_in
        self._held = held - done * plan.period_in
        self._given = ready - done * period_out
        if done:
            buffer[:, : history + self._held] = buffer[:, done * plan.period_in : history + held]
        np.maximum(result, _LOWEST, out=result)
        np.minimum(result, _HIGHEST, out=result)
        np.rint(result, out=result)
        return result.T.astype(_INT16).tobytes()

    def _product(self, plan: _Plan, start: int, rows: int, matrix: Floats) -> Floats:
        """Multiply ``rows`` windows of the buffer, one period apart from ``start`` on, with a block's matrix."""
        buffer = self._buffer
        channels, width = self.num_channels, len(matrix)
        stride = _FLOAT.itemsize
        windows: Floats = np.ndarray(
            (channels, rows, width),
            _FLOAT,
            buffer,
            start * stride,
            (buffer.strides[0], plan.period_in * stride, stride),
        )
        product: Floats = np.dot(windows.reshape(channels * rows, width), matrix)
        return product.reshape(channels, rows, -1)

    def flush(self) -> bytes:
        """Return the tail that the filter still holds, ``delay_s`` of it, and begin anew."""
        plan = self._plan
        if plan is None or not self._started:
            return b""
        tail = self.process(bytes(2 * self.num_channels * plan.tail))
        self.reset()
        return tail

    def reset(self) -> None:
        """Forget the audio so far."""
        self._buffer[:] = 0
        self._held = self._given = 0
        self._started = False
