"""Signals that several tests measure with."""

import numpy as np
import numpy.typing as npt


def sine(frequency: float, rate: int, duration_s: float, amplitude: float = 30000) -> bytes:
    at = np.arange(round(rate * duration_s)) / rate
    return np.rint(amplitude * np.sin(2 * np.pi * frequency * at)).astype("<i2").tobytes()


def noise(samples: int, amplitude: int = 20000, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).integers(-amplitude, amplitude, samples).astype("<i2").tobytes()


def samples(pcm: bytes) -> npt.NDArray[np.float64]:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def level_db(values: npt.NDArray[np.float64], reference: float = 30000) -> float:
    """Power of ``values`` against that of a sine of amplitude ``reference``."""
    return float(20 * np.log10(np.sqrt(np.mean(values**2)) / (reference / np.sqrt(2)) + 1e-12))


def pieces(pcm: bytes, bytes_per_sample: int, largest: int, seed: int = 2) -> list[bytes]:
    """Cut ``pcm`` into pieces of random whole numbers of samples, some of them empty."""
    rng = np.random.default_rng(seed)
    result, at = [], 0
    while at < len(pcm):
        size = int(rng.integers(0, largest)) * bytes_per_sample
        result.append(pcm[at : at + size])
        at += size
    return result
