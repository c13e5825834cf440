"""What a code is, and the one place where each of them is made: G.711, linear PCM, and those that FFmpeg knows.

Rules
1. A direction is one value. ``format`` is the PCM on this side of it, which need not be the rate that a provider
   announces: G.722 is announced as 8000 Hz (the clock of RTP) and holds 16000; Opus always decodes to 48000.
2. ``decode`` and ``encode`` raise ValueError for data that cannot be, and keep their state when they do.
3. With ``frame_bytes`` the code packs so much PCM into each packet: ``encode`` takes exactly that.
4. ``conceal`` makes up the packet that should have come next and did not, where the code knows how.
5. G.722, Opus and AMR-WB need the extra ``codecs``, which is asked for when the first of them is made.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, final

import numpy as np
from attrs import frozen

from ..format import AudioFormat
from ..g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm

ByteOrder: TypeAlias = Literal["little", "big"]

PCMU: Final = "PCMU"
PCMA: Final = "PCMA"
L16: Final = "L16"
G722: Final = "G722"
OPUS: Final = "OPUS"
AMR_WB: Final = "AMR-WB"
ENCODINGS: Final = (PCMU, PCMA, L16, G722, OPUS, AMR_WB)

ALIASES: Final[Mapping[str, str]] = {
    "pcmu": PCMU,
    "mulaw": PCMU,
    "ulaw": PCMU,
    "pcma": PCMA,
    "alaw": PCMA,
    "l16": L16,
    "raw": L16,
    "base64": L16,
    "pcm": L16,
    "slin": L16,
    "linear16": L16,
    "g722": G722,
    "opus": OPUS,
    "amr-wb": AMR_WB,
}
"""What providers call the codes, in lower case, without ``audio/`` and ``x-`` in front."""

_WIDE_RATE: Final = 16000
_OPUS_OUT_RATE: Final = 48000
OPUS_HELD_MS: Final = 6.5
"""How far an Opus encoder looks ahead (RFC 7845, 4.2, calls it the pre-skip)."""
OPUS_RATES: Final = (8000, 12000, 16000, 24000, 48000)


@final
@frozen(kw_only=True, eq=False)
class Decoder:
    """From a line's bytes to PCM of ``format``."""

    encoding: str
    format: AudioFormat
    decode: Callable[[bytes], bytes]
    conceal: Callable[[], bytes] | None = None
    duration_s: Callable[[bytes], float] | None = None
    """How long a packet is, without decoding it, where the code can conceal; ValueError for what is no packet."""


@final
@frozen(kw_only=True, eq=False)
class Encoder:
    """From PCM of ``format`` to a line's bytes; ``frame_bytes`` None takes any number of samples."""

    encoding: str
    format: AudioFormat
    encode: Callable[[bytes], bytes]
    frame_bytes: int | None = None
    held_ms: float = 0.0
    """How much of the last audio only comes out with what follows it."""


def encoding_of(name: str) -> str | None:
    """The code that a provider means by ``name``, such as ``audio/x-mulaw;rate=8000``; None when it is not known."""
    bare = name.partition(";")[0].strip().lower().removeprefix("audio/").removeprefix("x-")
    return ALIASES.get(bare)


def whole_samples(pcm: bytes) -> bytes:
    """The same bytes, checked."""
    if len(pcm) % 2:
        raise ValueError(f"{len(pcm)} bytes are not whole 16-bit samples")
    return pcm


def swapped(pcm: bytes) -> bytes:
    """PCM in the other byte order."""
    return np.frombuffer(whole_samples(pcm), "<i2").byteswap().tobytes()


def make_decoder(encoding: str, rate: int, channels: int = 1, *, byte_order: ByteOrder = "little") -> Decoder:
    """A decoder for a line announced with this rate; ValueError for a code that is not one of ``ENCODINGS``."""
    if encoding == L16:
        read = whole_samples if byte_order == "little" else swapped
        return Decoder(encoding=encoding, format=AudioFormat(rate, channels), decode=read)
    if encoding in _G711:
        return Decoder(encoding=encoding, format=AudioFormat(rate, channels), decode=_G711[encoding][0])
    _check_known(encoding, channels)
    from . import encoded

    decode, conceal = encoded.decoder(encoding, channels)
    return Decoder(
        encoding=encoding,
        format=AudioFormat(_OPUS_OUT_RATE if encoding == OPUS else _WIDE_RATE, channels),
        decode=decode,
        conceal=conceal,
        duration_s=encoded.opus_duration_s if encoding == OPUS else None,
    )


def make_encoder(
    encoding: str, rate: int, channels: int = 1, *, byte_order: ByteOrder = "little", bitrate: int | None = None
) -> Encoder:
    """An encoder for a line announced with this rate; ValueError for a code that cannot be written.

    ``bitrate`` is that of a code which can have several: Opus. None leaves it at one that is good for speech.
    """
    if encoding == L16:
        write = whole_samples if byte_order == "little" else swapped
        return Encoder(encoding=encoding, format=AudioFormat(rate, channels), encode=write)
    if encoding in _G711:
        return Encoder(encoding=encoding, format=AudioFormat(rate, channels), encode=_G711[encoding][1])
    _check_known(encoding, channels)
    from . import encoded

    pcm = AudioFormat(rate if encoding == OPUS and rate in OPUS_RATES else _WIDE_RATE, channels)
    return Encoder(
        encoding=encoding,
        format=pcm,
        encode=encoded.encoder(encoding, pcm.sample_rate, channels, bitrate),
        frame_bytes=pcm.size_bytes(pcm.samples_in(0.02)),
        held_ms=OPUS_HELD_MS if encoding == OPUS else 0.0,
    )


_G711: Final = {PCMU: (ulaw_to_pcm, pcm_to_ulaw), PCMA: (alaw_to_pcm, pcm_to_alaw)}


def _check_known(encoding: str, channels: int) -> None:
    if encoding not in ENCODINGS:
        raise ValueError(f"{encoding!r} is not a code: one of {', '.join(ENCODINGS)} is wanted")
    if channels != 1 and (encoding != OPUS or channels != 2):
        raise ValueError(f"{encoding} is carried in one channel, not in {channels}")
