"""Frames packed in few bytes: for peers of your own making that carry much audio or pictures. Needs extra ``packed``.

Rules
1. One frame is one binary message: the MessagePack array ``[1, {...}]``. The number is this dialect's version; another
   one is refused, since nothing is known about it.
2. The map's members are those of the JSON dialect, under the same names: ``type`` says which frame it is, and members
   that hold their default may be left out. Members that are not known are ignored, and so is a ``type`` that is not.
3. Bytes are bytes: audio and pictures travel as they are, a third smaller than in base64 and with no work to read.
   20 ms of 16 kHz audio take 640 bytes and 52 around them.
4. Every frame but those that control this side's own mixer and filter has a message, destinations included.
5. With ``encoding="OPUS"`` audio is sent in the type ``opus``, one message for each 20 ms (extra ``codecs``):
   ``packet`` bytes, ``number``? 0, its place among those of its destination, ``num_channels``? 1, ``pts``?,
   ``destination``?. It is read in any case, as 48 kHz; what was lost in between is concealed: see ``serializers.opus``.
6. A message may have as many values as one of the JSON dialect, counted as JSON writes them: one for an array or map
   that is empty, one for each value of an array, two for each member of a map. A peer could otherwise make hundreds of
   bytes of memory out of each byte that it sends.
7. The unpacker makes room for an array when it reads how long it is to be, and a thousand may be open, one in another.
   So only ``FEW`` values are believed at first. A message that has a longer array is looked through before it is
   unpacked: then all that it announces is there.

In any language: unpack the message, look at ``type``. A frame of silence in hexadecimal begins
``92 01 84 a4 74 79 70 65 a5 61 75 64 69 6f``: an array of two, the 1, a map of four, ``type``, ``audio``.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, TypeAlias, final

from attrs import define, evolve, field
from attrs.validators import in_

from .._documented import documented
from .._extras import require
from ..audio.codecs.codec import OPUS_HELD_MS, OPUS_RATES
from ..audio.format import AudioFormat
from ..errors import LocalProtocolError, RemoteProtocolError
from ..frames import (
    AudioFrame,
    ContextFrame,
    FileFrame,
    FilterControlFrame,
    Frame,
    FunctionCallFrame,
    FunctionResultFrame,
    InterruptionFrame,
    MessageFrame,
    MetricsFrame,
    MixerControlFrame,
    RequestFrame,
    ResponseFrame,
    StartFrame,
    UIFrame,
    VolumeFrame,
)
from .announced import audio_frame
from .codec import MAX_PARTS, WHOLE, check_depth, check_writable
from .converters import TaggedUnion, json_kind, make_converter
from .json import FRAME_TYPES, WireFrame
from .opus import PACKET_MS, OpusIn, OpusOut, OpusPacket
from .protocol import Message

PackedEncoding: TypeAlias = Literal["PCM", "OPUS"]

__all__ = ["PackedFrameSerializer"]

VERSION: Final = 1
FEW: Final = 32
_SHORT: Final = MAX_PARTS // 2
"""Bytes that cannot hold too many values: an empty array takes one, and counts twice."""

_msgpack: Any = require("msgpack", extra="packed", needed_by="PackedFrameSerializer")
_pack: Final = _msgpack.Packer(autoreset=True).pack


def _bytes(value: object, _: object) -> bytes:
    if type(value) is not bytes:
        raise RemoteProtocolError(f"bytes are wanted, not {json_kind(value)}")
    return value


def _make_frames() -> TaggedUnion[WireFrame | OpusPacket]:
    converter = make_converter()
    converter.register_structure_hook(bytes, _bytes)
    converter.register_unstructure_hook(bytes, lambda value: value)
    return TaggedUnion(converter, tag="type", kinds={**FRAME_TYPES, "opus": OpusPacket})


_frames: Final = _make_frames()

FREE_MEMBERS: Final[Mapping[type, tuple[str, ...]]] = {
    MessageFrame: ("message",),
    StartFrame: ("parameters",),
    RequestFrame: ("data",),
    ResponseFrame: ("data",),
    FunctionCallFrame: ("arguments",),
    FunctionResultFrame: ("arguments", "result"),
    ContextFrame: ("content",),
    FileFrame: ("options",),
    UIFrame: ("data",),
    MetricsFrame: ("metrics",),
}
"""The members that hold any JSON value."""


DEFAULT_OPUS_RATE: Final = 24000


@documented
@final
@define(eq=False, kw_only=True)
class PackedFrameSerializer:
    """Frames as MessagePack, in binary messages; the table of members stands in ``serializers.json``."""

    encoding: PackedEncoding = field(default="PCM", validator=in_(("PCM", "OPUS")))
    """How audio is sent: as it is, or as Opus with ``audio_out_bitrate``."""
    opus_rate: int | None = field(default=None)
    """At how many Hz Opus is made: 8000, 12000, 16000, 24000 (the default) or 48000."""
    opus_channels: int | None = field(default=None)
    """How many channels Opus has: 1 (the default) or 2."""
    _opus_out: OpusOut | None = field(default=None, init=False)
    _opus_in: OpusIn = field(factory=OpusIn, init=False)

    def __attrs_post_init__(self) -> None:
        if self.encoding == "PCM":
            if (self.opus_rate, self.opus_channels) != (None, None):
                raise ValueError("PackedFrameSerializer.opus_rate and opus_channels need encoding='OPUS'")
            return
        rate, channels = self.opus_rate or DEFAULT_OPUS_RATE, self.opus_channels or 1
        if rate not in OPUS_RATES:
            known = ", ".join(map(str, OPUS_RATES))
            raise ValueError(f"PackedFrameSerializer.opus_rate must be one of {known}, not {rate!r}")
        if channels not in (1, 2):
            raise ValueError(f"PackedFrameSerializer.opus_channels must be 1 or 2, not {channels!r}")
        self._opus_out = OpusOut(AudioFormat(rate, channels))

    @property
    def audio_format(self) -> AudioFormat | None:
        """What Opus is made of; None: each audio message tells its own format."""
        return None if self._opus_out is None else self._opus_out.format

    @property
    def chunk_ms(self) -> int | None:
        """As much as a packet of Opus has; None: as much as the session's own parameters say."""
        return None if self._opus_out is None else PACKET_MS

    @property
    def held_ms(self) -> float:
        """How many milliseconds of the last audio come out only with what follows it."""
        return 0.0 if self._opus_out is None else OPUS_HELD_MS

    def use_bitrate(self, bits_per_second: int) -> None:
        """Make Opus of about so many bits per second for each destination."""
        if self._opus_out is not None:
            self._opus_out = OpusOut(self._opus_out.format, bits_per_second)

    def fresh(self) -> "PackedFrameSerializer":
        """A serializer with the same settings, and coders of its own."""
        return evolve(self)

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The one message for a frame, or one for each packet; none for what controls this side's mixer and filter."""
        try:
            if self._opus_out is not None:
                if isinstance(frame, AudioFrame):
                    return [_pack((VERSION, _frames.unstructure(packet))) for packet in self._opus_out.packets(frame)]
                if isinstance(frame, InterruptionFrame):
                    self._opus_out.interrupt()
            if (
                type(frame) is AudioFrame
                and frame.pts is None
                and frame.destination is None
                and not (frame.id or frame.name)
            ):
                members = {
                    "type": "audio",
                    "audio": frame.audio,
                    "sample_rate": frame.sample_rate,
                    "num_channels": frame.num_channels,
                }
                return (_pack((VERSION, members)),)
            if isinstance(frame, MixerControlFrame | FilterControlFrame | VolumeFrame):
                return ()
            _check_json(frame)
            return (_pack((VERSION, _frames.unstructure(frame))),)
        except (UnicodeEncodeError, OverflowError, TypeError, ValueError) as exc:
            raise LocalProtocolError(f"{type(frame).__name__} cannot be packed: {exc}") from exc

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frame in a message; RemoteProtocolError names the place of what is wrong."""
        value = _unpacked(message)
        if type(value) is dict and len(value) == 4 and value.get("type") == "audio":
            # The four members that encode writes: no need for the converter. Of these three none can hide anything.
            audio, sample_rate, num_channels = value.get("audio"), value.get("sample_rate"), value.get("num_channels")
            if type(audio) is bytes and type(sample_rate) is int and type(num_channels) is int:
                return (audio_frame(audio, sample_rate, num_channels),)
        check_depth(value)
        frame = _frames.structure(value)
        if frame is None:
            return ()
        if isinstance(frame, OpusPacket):
            return self._opus_in.frames(frame)
        try:
            _check_json(frame)
        except LocalProtocolError as exc:  # bytes, NaN: MessagePack has them, JSON has not
            raise RemoteProtocolError(str(exc), path=WHOLE) from None
        return (frame,)


def _check_json(frame: WireFrame) -> None:
    """Hold what is free in a frame to what every dialect can say."""
    for member in FREE_MEMBERS.get(type(frame), ()):
        check_writable(getattr(frame, member))


def _no_extension(code: int, _: bytes) -> object:
    raise RemoteProtocolError(f"MessagePack's extension type {code} is not used in this dialect", path=WHOLE)


class _Budget:
    """Counts a message's values while they are made; rule 6."""

    def __init__(self) -> None:
        self.left = MAX_PARTS + 2  # those of the array of two, which JSON has not

    def spend(self, container: Any) -> Any:  # noqa: ANN401 - whatever was unpacked
        size = len(container)
        self.left -= (2 * size if type(container) is dict else size) or 1
        if self.left < 0:
            raise RemoteProtocolError(f"more than {MAX_PARTS} values in one message", path=WHOLE)
        return container


_unpack: Final = partial(_msgpack.unpackb, ext_hook=_no_extension, max_array_len=FEW, max_map_len=MAX_PARTS // 2)


def _parsed(message: bytes) -> Any:  # noqa: ANN401 - whatever was unpacked
    """Rules 6 and 7."""
    try:
        if len(message) <= _SHORT:
            return _unpack(message)
        spend = _Budget().spend
        return _unpack(message, list_hook=spend, object_hook=spend)
    except ValueError:  # a longer array; or something is wrong, which is found again
        pass
    looking = _msgpack.Unpacker(max_buffer_size=len(message))
    looking.feed(message)
    looking.skip()
    spend = _Budget().spend
    return _unpack(message, list_hook=spend, object_hook=spend, max_array_len=MAX_PARTS)


def _unpacked(message: Message) -> Any:  # noqa: ANN401 - any JSON value, and bytes
    if isinstance(message, str):
        raise RemoteProtocolError("a binary message is wanted, not text", path=WHOLE)
    try:
        value = _parsed(message)
    except RemoteProtocolError:
        raise
    except (ValueError, _msgpack.UnpackException) as exc:  # too deep, cut short, with more behind it, no UTF-8, no str
        told = f"{type(exc).__name__}: {str(exc)[:200]}"
        raise RemoteProtocolError(f"not MessagePack of this dialect: {told}", path=WHOLE) from exc
    if type(value) is not list or len(value) != 2 or type(value[0]) is not int:
        raise RemoteProtocolError("an array of a version and an object is wanted", path=WHOLE)
    if value[0] != VERSION:
        raise RemoteProtocolError(f"version {VERSION} of this dialect is spoken here, not {value[0]}", path="[0]")
    return value[1]
