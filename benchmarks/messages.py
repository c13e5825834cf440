"""The messages of the benchmark: protobuf frames written and read by hand, so that no peer's library is favoured.

Rules
1. Audio is 20 ms of 16 kHz mono PCM, 640 bytes, in ``Frame.audio`` (field 2).
2. A command to a server is a JSON object in ``Frame.message`` (field 4): ``{"play": seconds}`` or
   ``{"interrupt": true}``.
3. Chunk n of a playback starts with n + 1 as a 32-bit number; none of its bytes after that is zero, so that no chunk
   can be taken for silence or for another chunk.
4. Standard library only, and no state: every peer's program imports this under its own interpreter.
"""

import json
import struct
from typing import Final, NamedTuple

SAMPLE_RATE: Final = 16_000
NUM_CHANNELS: Final = 1
CHUNK_MS: Final = 20
CHUNK_S: Final = CHUNK_MS / 1000
CHUNK_BYTES: Final = SAMPLE_RATE * CHUNK_MS // 1000 * 2

AUDIO_TAG: Final = 0x12
"""The first byte of every message that holds audio (field 2, length-delimited)."""
COMMAND_TAG: Final = 0x22
INTERRUPTION_TAG: Final = 0x2A

PIECE_S: Final = 0.5
"""How much audio a playing server hands to its transport at a time, as a speech synthesiser would."""


class Audio(NamedTuple):
    """What an audio message holds, and where its PCM lies in the message."""

    pcm: bytes
    sample_rate: int
    num_channels: int
    start: int


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def audio_message(pcm: bytes) -> bytes:
    body = _field(3, pcm) + b"\x20" + varint(SAMPLE_RATE) + b"\x28" + varint(NUM_CHANNELS)
    return _field(2, body)


def command_message(**command: object) -> bytes:
    return _field(4, _field(1, json.dumps(command).encode()))


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _fields(data: bytes, at: int, end: int) -> dict[int, tuple[int, int]]:
    """Each field's number, with its value and 0, or with where its data starts and ends."""
    found: dict[int, tuple[int, int]] = {}
    while at < end:
        key, at = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        value, at = _read_varint(data, at)
        if kind == 0:
            found[number] = (value, 0)
        elif kind == 2:
            found[number] = (at, at + value)
            at += value
        else:
            raise ValueError(f"field {number} has wire type {kind}, which no frame of the benchmark uses")
    if at != end:
        raise ValueError(f"the message ends inside a field, at byte {at} of {end}")
    return found


def read_audio(message: bytes) -> Audio | None:
    """The audio in a message, or None when it holds something else; one that cannot be read is a ValueError."""
    if not message or message[0] != AUDIO_TAG:
        return None
    try:
        start, end = _fields(message, 0, len(message))[2]
        inner = _fields(message, start, end)
        pcm_start, pcm_end = inner.get(3, (start, start))
    except (IndexError, KeyError) as exc:
        raise ValueError(f"not a protobuf audio frame: {message[:16].hex()}...") from exc
    return Audio(message[pcm_start:pcm_end], inner.get(4, (0, 0))[0], inner.get(5, (0, 0))[0], pcm_start)


def read_command(message: bytes) -> dict[str, float]:
    """The command in a message; a message that holds none is a ValueError."""
    if not message or message[0] != COMMAND_TAG:
        raise ValueError(f"neither audio nor a command: {message[:16].hex()}")
    start, end = _fields(message, 0, len(message))[4]
    start, end = _fields(message, start, end)[1]
    command: dict[str, float] = json.loads(message[start:end])
    return command


_BODY: Final = bytes(1 + index % 251 for index in range(CHUNK_BYTES - 4))


def playback_chunk(index: int) -> bytes:
    return struct.pack("<I", index + 1) + _BODY


def playback_index(pcm: bytes) -> int | None:
    """Which chunk of a playback this is, or None when it is not exactly one."""
    if len(pcm) != CHUNK_BYTES or pcm[4:] != _BODY:
        return None
    return int.from_bytes(pcm[:4], "little") - 1


def chunks_in(seconds: float) -> int:
    return round(seconds / CHUNK_S)


def playback_chunks(seconds: float) -> list[bytes]:
    return [playback_chunk(index) for index in range(chunks_in(seconds))]


def playback_pieces(seconds: float) -> list[bytes]:
    """The same audio in pieces of half a second, for a transport that cuts and paces it itself."""
    chunks, size = playback_chunks(seconds), chunks_in(PIECE_S)
    return [b"".join(chunks[at : at + size]) for at in range(0, len(chunks), size)]
