"""G.722, Opus and AMR-WB, by FFmpeg through PyAV (the extra ``codecs``).

Rules
1. One packet in is one packet's PCM out, and one frame of PCM in is one packet out: nothing is held back for later.
2. AMR-WB comes as RTP carries it, octet-aligned (RFC 4867, 4.4): a byte with the mode that is asked for, one byte of
   contents for each frame, then the frames. FFmpeg wants each frame behind its own byte of contents. It can read
   AMR-WB and not write it.
3. What FFmpeg refuses is a ValueError.
4. Opus comes in frames of 20 ms. For one that was lost its decoder makes up what may have been in it, from what came
   before: it is asked by a packet that has the last one's first byte and nothing behind it (RFC 6716, 3.1 and 4.4).
5. No bytes are no packet: to FFmpeg an empty one is the end of the stream, after which it decodes nothing more.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..._extras import require

# FFmpeg's names for what each code is read and written with, and the rate of its PCM.
_READERS: Final = {"G722": ("g722", 16000), "OPUS": ("libopus", 48000), "AMR-WB": ("amrwb", 16000)}
_WRITERS: Final = {"G722": "g722", "OPUS": "libopus"}
_LAYOUTS: Final = {1: "mono", 2: "stereo"}
OPUS_BITS_PER_SECOND: Final = 24000
"""Unless something else is asked for."""
_OPUS_LEAST: Final = 500
_OPUS_MOST_PER_CHANNEL: Final = 256_000

_OPUS_FRAME_MS: Final = (10, 20, 40, 60) * 3 + (10, 20) * 2 + (2.5, 5, 10, 20) * 4
"""By what the first five bits of a packet say."""
_OPUS_MOST_S: Final = 0.12

_AMR_FRAME_BYTES: Final = (17, 23, 32, 36, 40, 46, 50, 58, 60, 5)
"""By frame type; what is above has no bytes (lost, or nothing to say)."""
_NOTHING: Final = bytes(2 * 320)


def _av(encoding: str) -> Any:  # noqa: ANN401 - PyAV's types are not known without the extra
    require("av", extra="codecs", needed_by=f"audio in {encoding}")
    import av

    return av


def decoder(encoding: str, channels: int = 1) -> tuple[Callable[[bytes], bytes], Callable[[], bytes] | None]:
    """Functions that turn one packet, or one that was lost, into PCM; they remember the packets before."""
    av = _av(encoding)
    name, rate = _READERS[encoding]
    context = av.CodecContext.create(name, "r")
    context.sample_rate, context.layout = rate, _LAYOUTS[channels]
    last = b""

    def decode(packet: bytes) -> bytes:
        nonlocal last
        if not packet:
            return b""  # rule 5
        try:
            pcm = b"".join(_pcm(frame.to_ndarray()) for frame in context.decode(av.Packet(packet)))
        except av.error.FFmpegError as exc:
            raise ValueError(f"{len(packet)} bytes are no {encoding}") from exc
        last = packet[:1]
        return pcm

    def conceal() -> bytes:
        return decode(bytes([last[0] & 0xFC])) if last else b""  # rule 4; the lowest bits count the frames: one

    match encoding:
        case "OPUS":
            return decode, conceal
        case "AMR-WB":
            return lambda payload: b"".join(decode(frame) if frame else _NOTHING for frame in amr_frames(payload)), None
        case _:
            return decode, None


def opus_duration_s(packet: bytes) -> float:
    """How long an Opus packet is, by its first two bytes (RFC 6716, 3.1 and 3.2); ValueError when they are missing."""
    head = packet[0] if packet else 0
    count = (1, 2, 2, packet[1] & 0x3F if len(packet) > 1 else 0)[head & 3]
    duration_s = _OPUS_FRAME_MS[head >> 3] * count / 1000
    if not packet or not 0 < duration_s <= _OPUS_MOST_S:
        raise ValueError(f"{len(packet)} bytes are no OPUS")
    return duration_s


def _opus_bitrate(asked: int | None, channels: int) -> int:
    wanted, most = OPUS_BITS_PER_SECOND if asked is None else asked, _OPUS_MOST_PER_CHANNEL * channels
    if not _OPUS_LEAST <= wanted <= most:
        raise ValueError(f"Opus takes {_OPUS_LEAST} to {most} bit/s in {_LAYOUTS[channels]}, not {wanted}")
    return wanted


def encoder(encoding: str, rate: int, channels: int = 1, bitrate: int | None = None) -> Callable[[bytes], bytes]:
    """A function that turns one frame of PCM into one packet; it remembers the frames before."""
    av = _av(encoding)
    if encoding not in _WRITERS:
        raise ValueError(f"{encoding} can be read here, not written: have the line send and take different codes")
    context = av.CodecContext.create(_WRITERS[encoding], "w")
    context.sample_rate, context.layout, context.format = rate, _LAYOUTS[channels], "s16"
    if encoding == "OPUS":
        context.bit_rate = _opus_bitrate(bitrate, channels)
        context.options = {"application": "voip", "frame_duration": "20", "vbr": "constrained"}
    frames = 0

    def encode(pcm: bytes) -> bytes:
        nonlocal frames
        samples = np.frombuffer(pcm, "<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=_LAYOUTS[channels])
        frame.sample_rate, frame.pts = rate, frames * samples.size // channels
        frames += 1
        return b"".join(bytes(packet) for packet in context.encode(frame))

    return encode


def _pcm(samples: Any) -> bytes:  # noqa: ANN401 - an array of any kind of number
    if samples.dtype.kind == "f":
        samples = np.clip(np.rint(samples * 32768.0), -32768, 32767)
    return np.asarray(samples, "<i2").tobytes()


def amr_frames(payload: bytes) -> list[bytes]:
    """The frames of an octet-aligned RTP payload as FFmpeg takes them; b"" for one that carries nothing."""
    contents = []
    at, more = 1, True
    while more:
        if at >= len(payload):
            raise ValueError(f"{len(payload)} bytes are no AMR-WB")
        more = bool(payload[at] & 0x80)
        contents.append(payload[at] & 0x7C)
        at += 1
    frames = []
    for content in contents:
        kind = content >> 3
        size = _AMR_FRAME_BYTES[kind] if kind < len(_AMR_FRAME_BYTES) else 0
        frames.append(bytes([content]) + payload[at : at + size] if size else b"")
        if len(payload) < at + size:
            raise ValueError(f"{len(payload)} bytes are no AMR-WB")
        at += size
    return frames
