"""Frames as Pipecat's protobuf messages: the dialect of its WebSocket transports and of its browser clients.

Rules
1. One frame is one binary message. ``frames.proto`` is the schema; it also says how ``frames_pb2`` is made.
2. It has audio, text, transcriptions, messages (a JSON document in a string) and interruptions. Frames of other kinds
   have no message and are not sent, as Pipecat's own peers do.
   A transcription that is a guess only is not sent either: its message cannot say so.
3. Fields that hold 0 or "" are not on the wire, which is proto3's own rule. ``pts`` tells 0 from absent.
4. A message of a kind added to the schema later gives no frames.
5. Audio of one format and length has the same bytes around its PCM each time, unless its sender numbers or names it.
   So what was read once is known again by these bytes, and not parsed. Of the latest ``MAX_SHAPES`` lengths that is
   remembered.

Needs the extra ``protobuf``.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar, Final, final

from attrs import frozen

from .._documented import documented
from .._extras import require
from ..audio.format import AudioFormat
from ..errors import LocalProtocolError, RemoteProtocolError
from ..frames import AudioFrame, Frame, InterruptionFrame, MessageFrame, TextFrame, TranscriptionFrame
from ..frames.audio import checked_audio_frame
from .announced import audio_frame
from .codec import WHOLE, dumps, loads
from .protocol import Message

require("google.protobuf", extra="protobuf", needed_by="ProtobufFrameSerializer")

from google.protobuf.message import DecodeError  # noqa: E402

from . import frames_pb2 as pb  # noqa: E402

__all__ = ["ProtobufFrameSerializer"]

_UINT32_MAX: Final = 2**32 - 1
MAX_SHAPES: Final = 64
# A field's number and wire type, as protobuf writes them in front of its value.
_AUDIO_FIELD: Final = b"\x12"
_PCM_FIELD: Final = b"\x1a"
_RATE_FIELD: Final = b"\x20"
_CHANNELS_FIELD: Final = b"\x28"


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


@lru_cache(maxsize=64)
def _around_audio(size_bytes: int, sample_rate: int, num_channels: int) -> tuple[bytes, bytes]:
    """What stands before and after the PCM in an audio message: the same for every chunk of one size and format."""
    if max(sample_rate, num_channels) > _UINT32_MAX:
        raise LocalProtocolError(f"{AudioFormat(sample_rate, num_channels)} does not fit in a protobuf audio message")
    tail = _RATE_FIELD + _varint(sample_rate) + _CHANNELS_FIELD + _varint(num_channels)
    pcm = _PCM_FIELD + _varint(size_bytes) if size_bytes else b""
    return _AUDIO_FIELD + _varint(len(pcm) + size_bytes + len(tail)) + pcm, tail


def _to_message(frame: Frame) -> pb.Frame | None:
    match frame:
        case AudioFrame():
            message = pb.Frame(
                audio=pb.AudioRawFrame(
                    id=frame.id,
                    name=frame.name,
                    audio=frame.audio,
                    sample_rate=frame.sample_rate,
                    num_channels=frame.num_channels,
                    pts=frame.pts,
                )
            )
        case TextFrame():
            message = pb.Frame(text=pb.TextFrame(id=frame.id, name=frame.name, text=frame.text))
        case TranscriptionFrame(final=True):
            message = pb.Frame(
                transcription=pb.TranscriptionFrame(
                    id=frame.id,
                    name=frame.name,
                    text=frame.text,
                    user_id=frame.user_id,
                    timestamp=frame.timestamp,
                )
            )
        case MessageFrame():
            message = pb.Frame(message=pb.MessageFrame(data=dumps(frame.message, path="message")))
        case InterruptionFrame():
            message = pb.Frame(interruption=pb.InterruptionFrame(id=frame.id, name=frame.name))
        case _:
            return None
    return message


@final
@frozen
class _Shape:
    """An audio message that was read once: every one of its length with the same bytes around the PCM is alike."""

    head: bytes
    tail: bytes
    pcm: slice
    sample_rate: int
    num_channels: int


_shapes: Final[dict[int, _Shape]] = {}
"""By the length of the message."""


def _remember(message: bytes, size_bytes: int, sample_rate: int, num_channels: int) -> None:
    head, tail = _around_audio(size_bytes, sample_rate, num_channels)
    end = len(head) + size_bytes
    if len(message) == end + len(tail) and message.startswith(head) and message.endswith(tail):
        if len(_shapes) >= MAX_SHAPES:
            _shapes.clear()
        _shapes[len(message)] = _Shape(head, tail, slice(len(head), end), sample_rate, num_channels)


@documented
@final
@frozen(kw_only=True)
class ProtobufFrameSerializer:
    """Frames as Pipecat's protobuf messages; rates and channel counts are stated by each."""

    names_destinations: ClassVar[bool] = False
    """Whether messages can name the output track that they are for: if not, a session has one track."""
    carries_pictures: ClassVar[bool] = False
    """It has no message for a picture."""

    @property
    def audio_format(self) -> None:
        """None: each audio message states its own format."""
        return None

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The messages for one frame, in order; none where this dialect has no message for it."""
        if isinstance(frame, AudioFrame) and frame.pts is None and not frame.id and not frame.name:
            audio = frame.audio
            head, tail = _around_audio(len(audio), frame.sample_rate, frame.num_channels)
            return (head + audio + tail,)
        try:
            message = _to_message(frame)
        except (ValueError, TypeError) as exc:  # out of the field's range, not text, not a number
            raise LocalProtocolError(f"{type(frame).__name__} cannot be written as protobuf: {exc}") from None
        return () if message is None else (message.SerializeToString(),)

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in one message.

        What cannot be read raises ``RemoteProtocolError``; what is not known gives none.
        """
        if isinstance(message, str):
            raise RemoteProtocolError("a binary message is wanted, not a text one", path=WHOLE)
        shape = _shapes.get(len(message))
        if shape is not None and message.startswith(shape.head) and message.endswith(shape.tail):
            return (checked_audio_frame(message[shape.pcm], shape.sample_rate, shape.num_channels),)
        try:
            frame = pb.Frame.FromString(message)
        except (DecodeError, UnicodeDecodeError) as exc:
            raise RemoteProtocolError(f"not a protobuf frame: {exc}", path=WHOLE) from None
        match frame.WhichOneof("frame"):
            case "audio":
                audio = frame.audio
                pts = audio.pts if audio.HasField("pts") else None
                heard = audio_frame(
                    audio.audio,
                    audio.sample_rate,
                    audio.num_channels,
                    pts=pts,
                    id=audio.id,
                    name=audio.name,
                    path="audio",
                )
                if pts is None and not heard.id and not heard.name:
                    _remember(message, len(heard.audio), heard.sample_rate, heard.num_channels)
                return (heard,)
            case "text":
                text = frame.text
                return (TextFrame(text=text.text, id=text.id, name=text.name),)
            case "transcription":
                said = frame.transcription
                return (
                    TranscriptionFrame(
                        text=said.text,
                        user_id=said.user_id,
                        timestamp=said.timestamp,
                        id=said.id,
                        name=said.name,
                    ),
                )
            case "message":
                return (MessageFrame(message=loads(frame.message.data, path="message.data")),)
            case "interruption":
                return (InterruptionFrame(id=frame.interruption.id, name=frame.interruption.name),)
            case _:
                return ()
