"""Sounds for a telephone, and G.711 by its definition, to be told from the library's."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Table: TypeAlias = npt.NDArray[np.int16]


def _ulaw_value(code: int) -> int:
    code = ~code & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return -size if code & 0x80 else size


def _alaw_value(code: int) -> int:
    code ^= 0x55
    size, segment = (code & 0x0F) << 4, (code & 0x70) >> 4
    size = size + 8 if segment == 0 else (size + 0x108) << (segment - 1)
    return size if code & 0x80 else -size


ULAW: Final[Table] = np.array([_ulaw_value(code) for code in range(256)], np.int16)
ALAW: Final[Table] = np.array([_alaw_value(code) for code in range(256)], np.int16)


def coded(pcm: bytes, table: Table) -> bytes:
    """Each sample as the code whose value is nearest."""
    samples = np.frombuffer(pcm, "<i2").astype(np.int32)
    nearest = np.abs(samples[:, None] - table.astype(np.int32)).argmin(axis=1)
    return np.asarray(nearest, np.uint8).tobytes()


def decoded(codes: bytes, table: Table) -> bytes:
    return np.asarray(table[np.frombuffer(codes, np.uint8)], "<i2").tobytes()


def _pcm(samples: npt.ArrayLike) -> bytes:
    return np.rint(np.asarray(samples, np.float64)).astype("<i2").tobytes()


def tone(hz: float, duration_s: float, rate: int) -> bytes:
    moments = np.arange(round(duration_s * rate)) / rate
    return _pcm(8000 * np.sin(2 * np.pi * hz * moments))


def pitch(pcm: bytes, rate: int) -> float:
    """The loudest frequency."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax()) * rate / len(samples)


def loudest_difference(pcm: bytes, other: bytes) -> int:
    samples, others = (np.frombuffer(each, "<i2").astype(np.int32) for each in (pcm, other))
    return int(np.abs(samples - others).max())


def hum(duration_s: float, rate: int) -> bytes:
    """What a line sounds like on which nobody speaks."""
    return _pcm(np.random.default_rng(1).normal(0, 20, round(duration_s * rate)))


def vowel(duration_s: float, rate: int) -> bytes:
    """Loud, and in several bands at once, as a voice is."""
    moments = np.arange(round(duration_s * rate)) / rate
    waves = sum(np.sin(2 * np.pi * hz * moments) for hz in (150, 300, 600, 1050, 1800, 2600))
    return _pcm(3000 * waves)
