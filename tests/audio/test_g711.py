import hashlib
import sys
import warnings

import numpy as np
import pytest

from trio_transports.audio import g711
from trio_transports.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm

ALL_PCM = np.arange(65536, dtype="<u2").tobytes()
ALL_CODES = bytes(range(256))
DIGESTS = ["617fa4850d68d390", "f77c76aa923ee256", "3dab54339e520bb2", "e04788d110e58ff8"]
"""Of lin2ulaw, lin2alaw, ulaw2lin and alaw2lin of Python 3.11's audioop, over all inputs."""

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    if sys.version_info < (3, 13):
        import audioop
    else:
        audioop = None


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the reference, audioop, left the standard library in 3.13")
def test_reference() -> None:
    """All 65,536 samples and all 256 codes are what the reference makes of them, in both laws."""
    assert pcm_to_ulaw(ALL_PCM) == audioop.lin2ulaw(ALL_PCM, 2)
    assert pcm_to_alaw(ALL_PCM) == audioop.lin2alaw(ALL_PCM, 2)
    assert ulaw_to_pcm(ALL_CODES) == audioop.ulaw2lin(ALL_CODES, 2)
    assert alaw_to_pcm(ALL_CODES) == audioop.alaw2lin(ALL_CODES, 2)


def test_the_tables_are_the_reference_too() -> None:
    """Where the reference is not there, the tables give the same, for short packets and long ones."""
    for codes in (ALL_CODES, ALL_CODES * 2):
        assert g711.table_ulaw_to_pcm(codes) == ulaw_to_pcm(codes)
        assert g711.table_alaw_to_pcm(codes) == alaw_to_pcm(codes)
    assert g711.table_pcm_to_ulaw(ALL_PCM) == pcm_to_ulaw(ALL_PCM)
    assert g711.table_pcm_to_alaw(ALL_PCM) == pcm_to_alaw(ALL_PCM)


def test_digests_of_the_reference() -> None:
    """The tables are the reference's also where it is no longer there to compare with."""
    digests = [
        hashlib.sha256(table).hexdigest()[:16]
        for table in (pcm_to_ulaw(ALL_PCM), pcm_to_alaw(ALL_PCM), ulaw_to_pcm(ALL_CODES), alaw_to_pcm(ALL_CODES))
    ]
    assert digests == DIGESTS


def test_known_codes() -> None:
    """Silence and full scale have the codes the standard gives them."""
    extremes = np.array([0, 32767, -32768], "<i2").tobytes()
    assert pcm_to_ulaw(extremes) == b"\xff\x80\x00"
    assert pcm_to_alaw(extremes) == b"\xd5\xaa\x2a"
    assert np.frombuffer(ulaw_to_pcm(b"\xff\x80\x00"), "<i2").tolist() == [0, 32124, -32124]
    assert np.frombuffer(alaw_to_pcm(b"\xd5\xaa\x2a"), "<i2").tolist() == [8, 32256, -32256]


@pytest.mark.parametrize(("encode", "decode"), [(pcm_to_ulaw, ulaw_to_pcm), (pcm_to_alaw, alaw_to_pcm)])
def test_decoded_codes_encode_to_themselves(encode: object, decode: object) -> None:
    """Every code survives decoding and encoding, but for mu-law's negative zero."""
    assert callable(encode)
    assert callable(decode)
    again = encode(decode(ALL_CODES))
    assert [code for code in ALL_CODES if again[code] != code] in ([], [0x7F])


def test_split_samples_are_refused() -> None:
    """An odd number of bytes is an error that says what to pass; no bytes are no bytes."""
    for encode in (pcm_to_ulaw, pcm_to_alaw):
        with pytest.raises(ValueError, match="3 bytes are not whole 16-bit samples: pass an even number"):
            encode(b"abc")
        assert encode(b"") == b""
    assert ulaw_to_pcm(b"") == alaw_to_pcm(b"") == b""
