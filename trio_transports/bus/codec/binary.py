"""Audio on the bus without base64: what two peers of this library speak when both know the subprotocol.

Rules
1. A message that starts with the byte 0x01 is an audio frame in this form; every other message is the JSON of
   ``JSONMessageSerializer``, which never starts with that byte.
2. The form, big-endian: 0x01, flags, channels, one zero byte, sample rate (u32), message id (u64), frame id (u64), pts
   (i64); then source, target, bridge, message name, frame name, destination, each a u16 length and UTF-8 (0xFFFF is
   None); then the PCM, to the end.
3. Flags: 1 role is input, 2 direction is upstream, 4 pts is given. Other bits are zero.
4. What does not fit the fields (a longer text, a larger number) goes as JSON.
"""

import struct
from typing import Final, final

from attrs import define, field

from ..._documented import documented
from ...errors import RemoteProtocolError
from ...frames import AudioFrame
from ...serializers.announced import audio_frame
from ..messages import BusFrameMessage, BusMessage, BusOpaqueMessage
from .hops import with_hops
from .json import JSONMessageSerializer, shared_serializer

BUS_SUBPROTOCOL: Final = "trio-transports.bus.v1"
"""The WebSocket subprotocol that says: both sides read this form."""

AUDIO: Final = 0x01
_INPUT, _UPSTREAM, _PTS = 1, 2, 4
_KNOWN_FLAGS: Final = _INPUT | _UPSTREAM | _PTS
_HEAD: Final = struct.Struct("!BBBxIQQq")
_LENGTH: Final = struct.Struct("!H")
_NONE: Final = 0xFFFF
_NO_TEXT: Final = _LENGTH.pack(_NONE)


_Texts = tuple[str | None, ...]


def _text(value: str | None) -> bytes:
    if value is None:
        return _NO_TEXT
    data = value.encode()
    if len(data) >= _NONE:
        raise OverflowError
    return _LENGTH.pack(len(data)) + data


def _json_or_shared(json: JSONMessageSerializer | None) -> JSONMessageSerializer:
    return json if json is not None else shared_serializer()


@documented
@final
@define(eq=False)
class BinaryMessageSerializer:
    """Audio in binary, everything else by ``json``."""

    _json: JSONMessageSerializer = field(default=None, converter=_json_or_shared)
    """What writes everything but audio."""
    _written: tuple[_Texts, bytes] = field(default=(("",) * 6, b""), init=False)
    """The texts of the audio written last, and how they were written: those of one stream are always the same."""
    _read: tuple[bytes, _Texts] = field(default=(b"", ("",) * 6), init=False)
    """The texts of the audio read last, as they stood there and as they are."""

    def encode(self, message: BusMessage) -> bytes:
        """The message as bytes."""
        if type(message) is BusFrameMessage and type(message.frame) is AudioFrame:
            try:
                return self._encode_audio(message, message.frame)
            except (struct.error, OverflowError, UnicodeEncodeError):
                pass  # rule 4: JSON says it, or says what is wrong
        data = self._json.encode(message)
        return with_hops(data, message.hops) if isinstance(message, BusOpaqueMessage) else data

    def decode(self, data: bytes | str) -> BusMessage:
        """The message in these bytes. What cannot be read raises ``RemoteProtocolError``."""
        if isinstance(data, bytes) and data[:1] == b"\x01":
            self._json.check_size(data)
            return self._decode_audio(data)
        return self._json.decode(data)

    def _encode_audio(self, message: BusFrameMessage, frame: AudioFrame) -> bytes:
        flags = (
            (_INPUT if message.role == "input" else 0)
            | (_UPSTREAM if message.direction == "UPSTREAM" else 0)
            | (0 if frame.pts is None else _PTS)
        )
        texts = (message.source, message.target, message.bridge, message.name, frame.name, frame.destination)
        if texts != self._written[0]:
            self._written = (texts, b"".join(map(_text, texts)))
        head = _HEAD.pack(AUDIO, flags, frame.num_channels, frame.sample_rate, message.id, frame.id, frame.pts or 0)
        data = b"".join((head, self._written[1], frame.audio))
        self._json.check_size(data, local=True)
        return data

    def _decode_audio(self, data: bytes) -> BusFrameMessage:
        if len(data) < _HEAD.size:
            raise RemoteProtocolError(f"an audio message of {len(data)} bytes ends inside its head of {_HEAD.size}")
        _, flags, channels, rate, message_id, frame_id, pts = _HEAD.unpack_from(data)
        if flags & ~_KNOWN_FLAGS:
            raise RemoteProtocolError(f"flags {flags:#04x} are not known", path="flags")
        raw, texts = self._read
        if not raw or not data.startswith(raw, _HEAD.size):
            texts, end = _read_texts(data)
            raw = data[_HEAD.size : end]
            self._read = (raw, texts)
        source, target, bridge, message_name, frame_name, destination = texts
        if source is None or message_name is None or frame_name is None:
            raise RemoteProtocolError("source and both names are texts, not None")
        return BusFrameMessage(
            source=source,
            target=target,
            bridge=bridge,
            id=message_id,
            name=message_name,
            role="input" if flags & _INPUT else "output",
            direction="UPSTREAM" if flags & _UPSTREAM else "DOWNSTREAM",
            frame=audio_frame(
                data[_HEAD.size + len(raw) :],
                rate,
                channels,
                pts=pts if flags & _PTS else None,
                id=frame_id,
                name=frame_name,
                destination=destination,
                path="frame",
            ),
        )


def _read_texts(data: bytes) -> tuple[_Texts, int]:
    """The six texts of an audio message, and where they end."""
    at, texts = _HEAD.size, []
    for name in ("source", "target", "bridge", "name", "frame.name", "frame.destination"):
        text, at = _read_text(data, at, name)
        texts.append(text)
    return tuple(texts), at


def _read_text(data: bytes, at: int, path: str) -> tuple[str | None, int]:
    start = at + _LENGTH.size
    if start > len(data):
        raise RemoteProtocolError("the message ends inside a length", path=path)
    (length,) = _LENGTH.unpack_from(data, at)
    if length == _NONE:
        return None, start
    end = start + length
    if end > len(data):
        raise RemoteProtocolError(f"the message ends inside a text of {length} bytes", path=path)
    try:
        return str(data[start:end], "utf-8"), end
    except UnicodeDecodeError as exc:
        raise RemoteProtocolError(f"not UTF-8: {exc.reason}", path=path) from None
