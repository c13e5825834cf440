"""G.711: the two logarithmic 8-bit codes of telephony, each way by one table, or by the reference where it is there.

Rules (ITU-T G.711, and the arithmetic of the reference: mu-law sees the upper 14 bits of a sample, A-law the upper 13)
1. A code is a sign, a 3-bit segment and a 4-bit step; each segment's steps are twice as wide as those of the one before
   (in A-law the lowest two are equally wide).
2. mu-law adds a bias of 33 to the 14-bit magnitude, so that a segment is the position of its highest bit, limits the
   sum to 13 bits, and sends all bits inverted.
3. A-law takes a negative sample's one's complement as its magnitude, and sends every second bit inverted (0x55).
4. Decoding gives the middle of the step, scaled to 16 bits.
"""

import warnings
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["alaw_to_pcm", "pcm_to_alaw", "pcm_to_ulaw", "ulaw_to_pcm"]

_INT16: Final = np.dtype("<i2")
_UINT16: Final = np.dtype("<u2")
_UINT8: Final = np.dtype(np.uint8)
_ULAW_BIAS: Final = 33


def _highest_bit(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.frexp(values.astype(np.float64))[1].astype(np.int64) - 1


def _ulaw_decode_table() -> npt.NDArray[np.int16]:
    code = ~np.arange(256) & 0xFF
    segment, step = code >> 4 & 7, code & 15
    magnitude = ((2 * step + _ULAW_BIAS) << segment) - _ULAW_BIAS
    return np.asarray(np.where(code & 0x80, -magnitude, magnitude) * 4, _INT16)


def _ulaw_encode_table() -> npt.NDArray[np.uint8]:
    sample = (np.arange(1 << 14) ^ 1 << 13) - (1 << 13)
    biased = np.minimum(np.abs(sample) + _ULAW_BIAS, 0x1FFF)
    segment = _highest_bit(biased) - 5
    code = segment << 4 | biased >> (segment + 1) & 15
    return np.asarray(~np.where(sample < 0, code | 0x80, code) & 0xFF, np.uint8).repeat(4)


def _alaw_decode_table() -> npt.NDArray[np.int16]:
    code = np.arange(256) ^ 0x55
    segment, step = code >> 4 & 7, code & 15
    magnitude = np.where(segment == 0, 2 * step + 1, (2 * step + 33) << np.maximum(segment - 1, 0))
    return np.asarray(np.where(code & 0x80, magnitude, -magnitude) * 8, _INT16)


def _alaw_encode_table() -> npt.NDArray[np.uint8]:
    sample = (np.arange(1 << 13) ^ 1 << 12) - (1 << 12)
    magnitude = np.where(sample < 0, ~sample, sample)
    segment = np.maximum(_highest_bit(np.maximum(magnitude, 1)) - 4, 0)
    code = segment << 4 | magnitude >> np.maximum(segment, 1) & 15
    return np.asarray(np.where(sample < 0, code, code | 0x80) ^ 0x55, np.uint8).repeat(8)


_ULAW_TO_PCM: Final = _ulaw_decode_table()
_PCM_TO_ULAW: Final = _ulaw_encode_table()
_ALAW_TO_PCM: Final = _alaw_decode_table()
_PCM_TO_ALAW: Final = _alaw_encode_table()

# The reference itself, in C, where the interpreter still has it (to 3.12; later as the package audioop-lts): a packet
# of 20 ms takes a quarter of the time. Without it a short packet decodes faster as two translations, of low and of high
# bytes, than by numpy's take.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        import audioop
    except ImportError:
        audioop = None  # type: ignore[assignment]

_SHORT_BYTES: Final = 320
_ULAW_LOW, _ULAW_HIGH = _ULAW_TO_PCM.tobytes()[::2], _ULAW_TO_PCM.tobytes()[1::2]
_ALAW_LOW, _ALAW_HIGH = _ALAW_TO_PCM.tobytes()[::2], _ALAW_TO_PCM.tobytes()[1::2]


def table_pcm_to_ulaw(pcm: bytes) -> bytes:
    if len(pcm) % 2:
        raise _odd(pcm)
    return _PCM_TO_ULAW.take(np.frombuffer(pcm, _UINT16)).tobytes()


def table_ulaw_to_pcm(ulaw: bytes) -> bytes:
    if len(ulaw) > _SHORT_BYTES:
        return _ULAW_TO_PCM.take(np.frombuffer(ulaw, _UINT8)).tobytes()
    pcm = bytearray(2 * len(ulaw))
    pcm[::2] = ulaw.translate(_ULAW_LOW)
    pcm[1::2] = ulaw.translate(_ULAW_HIGH)
    return bytes(pcm)


def table_pcm_to_alaw(pcm: bytes) -> bytes:
    if len(pcm) % 2:
        raise _odd(pcm)
    return _PCM_TO_ALAW.take(np.frombuffer(pcm, _UINT16)).tobytes()


def table_alaw_to_pcm(alaw: bytes) -> bytes:
    if len(alaw) > _SHORT_BYTES:
        return _ALAW_TO_PCM.take(np.frombuffer(alaw, _UINT8)).tobytes()
    pcm = bytearray(2 * len(alaw))
    pcm[::2] = alaw.translate(_ALAW_LOW)
    pcm[1::2] = alaw.translate(_ALAW_HIGH)
    return bytes(pcm)


def pcm_to_ulaw(pcm: bytes) -> bytes:
    """Encode 16-bit PCM as mu-law, one byte for each number."""
    if audioop is None or len(pcm) % 2:
        return table_pcm_to_ulaw(pcm)
    return audioop.lin2ulaw(pcm, 2)


def ulaw_to_pcm(ulaw: bytes) -> bytes:
    """Decode mu-law to 16-bit PCM."""
    return table_ulaw_to_pcm(ulaw) if audioop is None else audioop.ulaw2lin(ulaw, 2)


def pcm_to_alaw(pcm: bytes) -> bytes:
    """Encode 16-bit PCM as A-law, one byte for each number."""
    if audioop is None or len(pcm) % 2:
        return table_pcm_to_alaw(pcm)
    return audioop.lin2alaw(pcm, 2)


def alaw_to_pcm(alaw: bytes) -> bytes:
    """Decode A-law to 16-bit PCM."""
    return table_alaw_to_pcm(alaw) if audioop is None else audioop.alaw2lin(alaw, 2)


def _odd(pcm: bytes) -> ValueError:
    return ValueError(f"{len(pcm)} bytes are not whole 16-bit samples: pass an even number of bytes")
