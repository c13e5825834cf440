"""Files with 16 bits for each sample: brought to 8, and not cut off at white."""

import struct
import zlib
from typing import Literal

import numpy as np
import pytest

from trio_transports.video.codec import decode

pytest.importorskip("PIL")

GRAY, RGB, GRAY_ALPHA, RGBA = 0, 2, 4, 6
CHANNELS = {GRAY: 1, RGB: 3, GRAY_ALPHA: 2, RGBA: 4}


def png(kind: int, samples: "np.ndarray[tuple[int, ...], np.dtype[np.uint16]]") -> bytes:
    """A PNG of 16 bits as the standard has it: Pillow itself writes none in colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples.reshape(height, -1))
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", [GRAY, RGB, GRAY_ALPHA, RGBA])
@pytest.mark.parametrize("kept", ["RGB", "RGBA"])
def test_each_sample_becomes_the_nearest_of_8_bits(kind: int, kept: Literal["RGB", "RGBA"]) -> None:
    """From black to white, in every kind of PNG; in grey every value there is."""
    values = np.arange(0, 1 << 16, dtype=np.uint16).reshape(256, 256)
    samples = np.repeat(values[..., np.newaxis], CHANNELS[kind], axis=2)
    pixels, size = decode(png(kind, samples), "PNG", max_pixels=1 << 16, kept=kept)
    assert size == (256, 256)
    got = np.frombuffer(pixels, np.uint8).reshape(256, 256, len(kept)).astype(int)
    exact = values / 257
    for channel in range(3):
        assert np.abs(got[..., channel] - exact).max() <= (0.5 if kind == GRAY else 1.0)
    if kept == "RGBA" and kind in (GRAY, RGB):
        assert (got[..., 3] == 255).all()


def test_a_file_of_many_pixels_is_refused_before_it_is_looked_into() -> None:
    with pytest.raises(ValueError, match="over the limit of 99 pixels"):
        decode(png(GRAY, np.zeros((10, 10), np.uint16)), "PNG", max_pixels=99)
