"""A streaming resampler: PCM at one rate in, PCM at another out, in pieces of any size.

Rules
1. It is a polyphase FIR: the input as if filled up with zeros to ``up`` times its rate, low-passed, every ``down``-th
   value kept, without computing what is not kept. ``up / down`` is the ratio of the rates in lowest terms.
2. The low-pass (see ``lowpass``) is symmetric: it delays all frequencies by the same ``delay_s``, ``HALF_LENGTH``
   samples of the lower rate. 6 ms where that is 8 kHz, 3 ms at 16 kHz, 1 ms at 48 kHz.
3. Nothing depends on how the input was cut, to the last bit: all sums are exact, and rounding comes after.
4. After ``n`` samples in, ``ceil(n * up / down)`` have come out. 20 ms in is 20 ms out wherever that is whole samples.
"""

from math import gcd
from typing import Final, final

import numpy as np
from attrs import define, field

from .._documented import documented
from .lowpass import HALF_LENGTH
from .polyphase import SEGMENT, Blocks, Points, Samples, fits_blocks

__all__ = ["Resampler"]

MIN_RATE: Final = 1_000
MAX_RATE: Final = 768_000

_INT16: Final = np.dtype("<i2")
_LOWEST: Final = np.array(-32768.0)  # as arrays: a Python number costs each ufunc call 0.3 microseconds more
_HIGHEST: Final = np.array(32767.0)


def check_rate(name: str, rate: int) -> None:
    if type(rate) is not int:
        raise TypeError(f"{name} must be an int, not {rate!r}")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"{name} must be between {MIN_RATE} and {MAX_RATE} Hz to be resampled, not {rate}")


def has_small_ratio(in_rate: int, out_rate: int) -> bool:
    """Whether one is quickly made of the other: 24 kHz of 16 is, of 16,001 Hz it takes fifty times as long."""
    return fits_blocks(*_ratio(in_rate, out_rate))


def _ratio(in_rate: int, out_rate: int) -> tuple[int, int]:
    divisor = gcd(in_rate, out_rate)
    return out_rate // divisor, in_rate // divisor


@documented
@final
@define(eq=False)
class Resampler:
    """Turn PCM of ``in_rate`` into PCM of ``out_rate``. Equal rates return the very object that was given."""

    in_rate: int = field()
    """Samples per second, in Hz, of what is given."""
    out_rate: int = field()
    """Samples per second, in Hz, of what comes out."""
    num_channels: int = field(default=1)
    """Channels of both; each is resampled by itself."""
    _core: Blocks | Points | None = field(init=False, repr=False)
    _started: bool = field(init=False, repr=False, default=False)

    def __attrs_post_init__(self) -> None:
        check_rate("Resampler.in_rate", self.in_rate)
        check_rate("Resampler.out_rate", self.out_rate)
        if type(self.num_channels) is not int or self.num_channels < 1:
            raise ValueError(f"Resampler.num_channels must be an int of at least 1, not {self.num_channels!r}")
        self._core = self._new_core()

    def _new_core(self) -> Blocks | Points | None:
        if self.in_rate == self.out_rate:
            return None
        up, down = _ratio(self.in_rate, self.out_rate)
        return (Blocks if fits_blocks(up, down) else Points)(up, down, self.num_channels)

    @property
    def delay_s(self) -> float:
        """How much later a sound stands in the output than in the input."""
        return 0.0 if self._core is None else HALF_LENGTH / min(self.in_rate, self.out_rate)

    def process(self, pcm: bytes) -> bytes:
        """Return what can be computed from the audio so far: ``delay_s`` behind it, and never less than that."""
        core = self._core
        if core is None:
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
        if len(samples) <= SEGMENT:
            return _pushed(core, samples.T)
        pieces = [samples[start : start + SEGMENT].T for start in range(0, len(samples), SEGMENT)]
        return b"".join([_pushed(core, piece) for piece in pieces])

    def flush(self) -> bytes:
        """Return the tail that the filter still holds, ``delay_s`` of it, and begin anew."""
        if self._core is None or not self._started:
            return b""
        samples = -(-HALF_LENGTH * self.in_rate // min(self.in_rate, self.out_rate))
        tail = self.process(bytes(2 * self.num_channels * samples))
        self.reset()
        return tail

    def reset(self) -> None:
        """Forget the audio so far."""
        self._core = self._new_core()
        self._started = False


def _pushed(core: Blocks | Points, samples: Samples) -> bytes:
    result = core.push(samples)
    np.maximum(result, _LOWEST, out=result)
    np.minimum(result, _HIGHEST, out=result)
    np.rint(result, out=result)
    return result.T.astype(_INT16).tobytes()
