"""WAV headers: put before PCM, taken off what a peer sent, and whole files read and written.

Rules
1. Data that does not begin with ``RIFF....WAVE`` is bare PCM and is returned as the very object that was given.
2. Chunks are walked by their sizes; those that are not known are skipped. ``fmt `` comes before ``data``.
3. A data size of 0 or 0xFFFFFFFF comes from a writer that did not know the length: all that follows is audio.
4. A data size past the end of the message is cut to what is there. One that is too small is believed only if what
   follows is again chunks (to the byte), another WAV message, or would split a sample; otherwise the size lies and all
   of it is audio. Sizes are wrong in practice because writers patch them afterwards, or never.
5. ``max_chunks`` bounds how many chunks are looked at, for data of strangers: each costs time, and eight bytes.
6. Everything else is malformed: a ValueError that says what was found and where.
"""

from collections.abc import Iterator
from itertools import count
from os import PathLike
from struct import Struct, pack, unpack_from
from typing import Final, TypeAlias, final

import numpy as np
from attrs import frozen

from .format import SAMPLE_WIDTH, AudioFormat
from .g711 import alaw_to_pcm, ulaw_to_pcm

__all__ = [
    "add_wav_header",
    "has_wav_header",
    "parse_wav",
    "read_wav",
    "split_wav_header",
    "strip_wav_header",
    "write_wav",
]

_PCM: Final = 1
_FLOAT: Final = 3
_ALAW: Final = 6
_ULAW: Final = 7
_EXTENSIBLE: Final = 0xFFFE
_SUBFORMAT_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
_UNKNOWN_SIZES: Final = (0, 0xFFFFFFFF)
_PLAIN: Final = Struct("<HI4xH2x4xI")  # channels, rate, block, size of a header of 44 bytes
_PLAIN_SIZE: Final = 44
_PLAIN_FMT: Final = b"fmt \x10\x00\x00\x00\x01\x00"
_PLAIN_DATA: Final = b"\x10\x00data"
_ENCODING_NAMES: Final = {_PCM: "PCM", _FLOAT: "float", _ALAW: "A-law", _ULAW: "mu-law"}

_Path: TypeAlias = "str | PathLike[str]"


@final
@frozen
class _Encoding:
    """What a ``fmt `` chunk says."""

    tag: int
    bits: int
    audio_format: AudioFormat

    @property
    def block(self) -> int:
        """Bytes of one sample of all channels."""
        return self.audio_format.num_channels * ((self.bits + 7) // 8)

    @property
    def name(self) -> str:
        return f"{self.bits}-bit {_ENCODING_NAMES.get(self.tag, f'format tag {self.tag:#06x}')}"


def add_wav_header(pcm: bytes, audio_format: AudioFormat) -> bytes:
    """Put the 44 bytes before ``pcm`` that make it a WAV file of exactly that length."""
    audio_format.samples(len(pcm))
    return _header(len(pcm), audio_format) + pcm


def _header(size: int, audio_format: AudioFormat) -> bytes:
    if size > 0xFFFFFFFF - 36:
        raise ValueError(f"{size} bytes are too long for a WAV file, which ends at 4 GiB: split the audio")
    return pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + size,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        audio_format.num_channels,
        audio_format.sample_rate,
        audio_format.bytes_per_second,
        audio_format.bytes_per_sample,
        8 * SAMPLE_WIDTH,
        b"data",
        size,
    )


def has_wav_header(data: bytes) -> bool:
    """Whether the bytes begin as a WAV file does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"


def strip_wav_header(data: bytes) -> bytes:
    """Return the PCM in ``data``: without its WAV header, or as it is when it has none."""
    return split_wav_header(data)[1]


def split_wav_header(data: bytes, *, max_chunks: int | None = None) -> tuple[AudioFormat | None, bytes]:
    """Return the format that a header tells, None without one, and the 16-bit PCM after it.

    ``max_chunks`` bounds how many chunks of the header are looked at; None looks at all, which is for files of one's
    own.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None, data
    if data[12:22] == _PLAIN_FMT and data[34:40] == _PLAIN_DATA and len(data) >= _PLAIN_SIZE:
        # What nearly all writers write: a peer may put one on every chunk, so it is not walked.
        channels, rate, block, size = _PLAIN.unpack_from(data, 22)
        if size == len(data) - _PLAIN_SIZE and channels and rate and block == 2 * channels and not size % block:
            return AudioFormat(rate, channels), data[_PLAIN_SIZE:]
    encoding, audio = _parse(data, max_chunks)
    if (encoding.tag, encoding.bits) != (_PCM, 8 * SAMPLE_WIDTH):
        raise ValueError(
            f"the WAV header announces {encoding.name}, and only 16-bit PCM is taken: convert it, or read a file with "
            "read_wav"
        )
    if len(audio) % encoding.audio_format.bytes_per_sample:
        raise ValueError(f"the WAV data of {len(audio)} bytes is not whole samples of {encoding.audio_format}")
    return encoding.audio_format, audio


def _parse(data: bytes, max_chunks: int | None = None) -> tuple[_Encoding, bytes]:
    """Walk the chunks of one or more WAV messages; rules 2 to 6."""
    budget = count() if max_chunks is None else iter(range(max_chunks))
    parts: list[bytes] = []
    encoding: _Encoding | None = None
    start = 0
    while True:
        found, body, following = _parse_one(data, start, budget)
        if encoding is not None and found != encoding:
            raise ValueError(
                f"the WAV data changes from {encoding.audio_format} to {found.audio_format} at byte {start}: "
                "send each format in a message of its own"
            )
        encoding = found
        parts.append(body)
        if following is None:
            return encoding, parts[0] if len(parts) == 1 else b"".join(parts)
        start = following


def _parse_one(data: bytes, start: int, budget: Iterator[int]) -> tuple[_Encoding, bytes, int | None]:
    """Return the encoding, the audio, and where another WAV message begins, if one does."""
    encoding: _Encoding | None = None
    at, end = start + 12, len(data)
    while at + 8 <= end:
        if next(budget, None) is None:
            raise ValueError(f"malformed WAV: more chunks than are looked at in one message, at byte {at}: send fewer")
        name, size = unpack_from("<4sI", data, at)
        body = at + 8
        if name == b"data":
            if encoding is None:
                raise ValueError(f"malformed WAV: the data chunk at byte {at} comes before any 'fmt ' chunk")
            stop, following = _data_end(data, body, size, encoding.block, budget)
            return encoding, data[body:stop], following
        if name == b"fmt ":
            encoding = _encoding(data[body : body + size], size, at)
        if body + size > end:
            raise ValueError(
                f"malformed WAV: chunk {name!r} at byte {at} claims {size} bytes and {end - body} are there"
            )
        at = body + size + size % 2
    raise ValueError(f"malformed WAV: no data chunk in {end - start} bytes")


def _data_end(data: bytes, body: int, size: int, block: int, budget: Iterator[int]) -> tuple[int, int | None]:
    """Where the audio ends that begins at ``body``, and where another WAV message begins; rules 3 and 4."""
    end = len(data)
    if size == 0 and (end == body or _is_wav(data, body)):
        return body, body if body < end else None
    if size in _UNKNOWN_SIZES or body + size >= end:
        return end, None
    stop = body + size
    for following in {stop, stop + size % 2}:
        if _is_wav(data, following):
            return stop, following
    believed = _are_chunks(data, stop + size % 2, budget) or (block and (end - body) % block)
    return (stop if believed else end), None


def _is_wav(data: bytes, at: int) -> bool:
    return data[at : at + 4] == b"RIFF" and data[at + 8 : at + 12] == b"WAVE"


def _are_chunks(data: bytes, at: int, budget: Iterator[int]) -> bool:
    end = len(data)
    while at + 8 <= end:
        if next(budget, None) is None:
            return False
        name, size = unpack_from("<4sI", data, at)
        if not all(0x20 <= letter < 0x7F for letter in name):
            return False
        at += 8 + size + size % 2
    return at == end or (at == end + 1)  # a missing last pad byte is forgiven


def _encoding(chunk: bytes, size: int, at: int) -> _Encoding:
    if size < 16 or len(chunk) < 16:
        raise ValueError(
            f"malformed WAV: the 'fmt ' chunk at byte {at} claims {size} bytes, {len(chunk)} are there, 16 are needed"
        )
    tag, channels, rate, _, block, bits = unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != _SUBFORMAT_TAIL:
            raise ValueError(f"malformed WAV: the extensible 'fmt ' chunk at byte {at} names no known sub-format")
        tag = unpack_from("<H", chunk, 24)[0]
    if channels < 1 or rate < 1:
        raise ValueError(f"malformed WAV: {channels} channels at {rate} Hz in the 'fmt ' chunk at byte {at}")
    if block != channels * ((bits + 7) // 8):
        raise ValueError(
            f"malformed WAV: the 'fmt ' chunk at byte {at} puts {channels} channels of {bits} bits in {block} bytes"
        )
    return _Encoding(tag, bits, AudioFormat(rate, channels))


def read_wav(path: _Path) -> tuple[AudioFormat, bytes]:
    """Read a WAV file as 16-bit PCM: integers of 8 to 32 bits, floats of 32 or 64, mu-law and A-law."""
    with open(path, "rb") as file:
        return parse_wav(file.read(), str(path))


def parse_wav(data: bytes, name: str = "the data") -> tuple[AudioFormat, bytes]:
    """Read a whole WAV file that is in memory, as ``read_wav`` does; errors call it by its name."""
    if not has_wav_header(data):
        raise ValueError(f"{name} is not a WAV file: it begins with {data[:12]!r}, not RIFF....WAVE")
    try:
        encoding, audio = _parse(data)
        return encoding.audio_format, _to_int16(encoding, audio)
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from None


def write_wav(path: _Path, audio_format: AudioFormat, pcm: bytes) -> None:
    """Write 16-bit PCM as a WAV file."""
    audio_format.samples(len(pcm))
    header = _header(len(pcm), audio_format)
    with open(path, "wb") as file:
        file.write(header)
        file.write(pcm)


def _to_int16(encoding: _Encoding, audio: bytes) -> bytes:
    if encoding.block:  # a file cut short ends at its last whole sample
        audio = audio[: len(audio) - len(audio) % encoding.block]
    match encoding.tag, encoding.bits:
        case (1, 16):
            return audio
        case (1, 8):
            return ((np.frombuffer(audio, np.uint8).astype(np.int16) - 128) << 8).astype("<i2").tobytes()
        case (1, 24):
            triples = np.frombuffer(audio, np.uint8).reshape(-1, 3)
            high = np.ascontiguousarray(triples[:, 1:]).view("<i2").reshape(-1)
            return _saturated(high + (triples[:, 0] >> 7).astype(np.int32))
        case (1, 32):
            wide = np.frombuffer(audio, "<i4")
            return _saturated((wide >> 16) + ((wide >> 15) & 1))
        case (3, 32 | 64):
            real = np.frombuffer(audio, f"<f{encoding.bits // 8}").astype(np.float64)
            return _saturated(np.rint(np.clip(np.nan_to_num(real), -1.0, 1.0) * 32768.0))
        case (6, 8):
            return alaw_to_pcm(audio)
        case (7, 8):
            return ulaw_to_pcm(audio)
    raise ValueError(f"WAV of {encoding.name} cannot be read: save it as 16-bit PCM")


def _saturated(values: "np.typing.NDArray[np.float64] | np.typing.NDArray[np.int32]") -> bytes:
    return np.clip(values, -32768, 32767).astype("<i2").tobytes()
