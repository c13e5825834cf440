"""Vonage WebSocket calls: audio as 16-bit PCM in binary messages, everything else as JSON text messages.

Received: binary (AudioFrame), ``websocket:connected`` (StartFrame), ``websocket:dtmf`` (DTMFFrame),
``websocket:notify`` (MarkFrame: played), ``websocket:cleared`` (no frame). Sent: AudioFrame (binary), MarkFrame
(``notify``), InterruptionFrame (``clear``), MessageFrame (as it is). The call's end is the socket's.

What the endpoint's ``headers`` were given comes in the connected message beside its own members: the StartFrame has
them as parameters.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, final

from attrs import define, evolve, field, frozen
from attrs.validators import and_, in_, instance_of, optional

from ..audio.format import AudioFormat
from ..errors import RemoteProtocolError
from ..frames import AudioFrame, Frame, InterruptionFrame, JSONValue, MarkFrame, MessageFrame, StartFrame
from .codec import WHOLE, dumps, loads
from .converters import TaggedUnion, make_converter, own_name
from .line import (
    PACKET_MS,
    PACKET_MS_RULE,
    check_first,
    custom_message,
    key_pressed,
    pcm_frames,
    unsent,
)
from .protocol import Message

SAMPLE_RATES: Final = (8000, 16000, 24000)


@frozen(kw_only=True)
class Connected:
    content_type: str | None = None


@frozen(kw_only=True)
class Dtmf:
    digit: str


@frozen(kw_only=True)
class Cleared:
    """The clear command was carried out."""


@frozen(kw_only=True)
class Notify:
    """What a ``notify`` command carried, sent back once the audio in front of it was played."""

    payload: JSONValue = None


@frozen(kw_only=True)
class Clear:
    """Stop what is playing."""


Incoming: TypeAlias = Connected | Dtmf | Cleared | Notify
Outgoing: TypeAlias = Clear | Notify


def _wire_name(attribute: str) -> str:
    return own_name(attribute).replace("_", "-")


_converter: Final = make_converter(rename=_wire_name)
_incoming: Final[TaggedUnion[Incoming]] = TaggedUnion(
    _converter,
    tag="event",
    kinds={
        "websocket:connected": Connected,
        "websocket:dtmf": Dtmf,
        "websocket:cleared": Cleared,
        "websocket:notify": Notify,
    },
)
_outgoing: Final[TaggedUnion[Outgoing]] = TaggedUnion(
    _converter, tag="action", kinds={"clear": Clear, "notify": Notify}
)
_DEFAULT: Final = AudioFormat(16000)
_CONTENT_TYPE: Final = re.compile(r"audio/l16; *rate=([0-9]{1,6})", re.IGNORECASE)
_OWN_MEMBERS: Final = ("event", "content-type")
_MARK: Final = "mark"


@final
@define(eq=False, kw_only=True)
class VonageFrameSerializer:
    """One Vonage call; ``sample_rate`` None takes the one that the connected message announces."""

    sample_rate: int | None = field(default=None, validator=optional(and_(instance_of(int), in_(SAMPLE_RATES))))
    chunk_ms: int | None = field(default=PACKET_MS, validator=PACKET_MS_RULE)
    start: StartFrame | None = field(default=None, init=False)
    """What the connected message said; None until it came."""
    _format: AudioFormat = field(default=_DEFAULT, init=False)

    def __attrs_post_init__(self) -> None:
        if self.sample_rate is not None:
            self._format = AudioFormat(self.sample_rate)

    @property
    def audio_format(self) -> AudioFormat:
        return self._format

    @property
    def is_ready(self) -> bool:
        """There is no stream to address, but audio of the wrong rate must not leave."""
        return self.sample_rate is not None or self.start is not None

    @property
    def has_marks(self) -> bool:
        return True

    def fresh(self) -> "VonageFrameSerializer":
        return evolve(self)

    def encode(self, frame: Frame) -> Sequence[Message]:
        if isinstance(frame, AudioFrame):
            audio, line = frame.audio, self._format
            if audio and frame.sample_rate == line.sample_rate and frame.num_channels == 1 and self.is_ready:
                return (audio,)
            return unsent(frame, line, is_ready=self.is_ready)
        match frame:
            case InterruptionFrame():
                return (dumps(_outgoing.unstructure(Clear())),)
            case MarkFrame():
                return (dumps(_outgoing.unstructure(Notify(payload={_MARK: frame.mark}))),)
            case MessageFrame():
                return custom_message(frame)
            case _:
                return ()

    def decode(self, message: Message) -> Sequence[Frame]:
        if not isinstance(message, str):
            return self._heard(message)
        value = loads(message)
        match _incoming.structure(value):
            case Connected(content_type=content_type) if isinstance(value, dict):
                return self._started(content_type, value)
            case Dtmf(digit=digit):
                return (key_pressed(digit, path="digit"),)
            case Notify(payload={"mark": str(mark)}):
                return (MarkFrame(mark=mark),)
            case Notify():
                return (MessageFrame(message=value),)  # the answer to a command of the application's own
            case _:
                return ()

    def _heard(self, pcm: bytes) -> Sequence[Frame]:
        if not self.is_ready:
            raise RemoteProtocolError("audio before a connected message that says its rate", path=WHOLE)
        return pcm_frames(pcm, self._format, path=WHOLE)

    def _started(self, content_type: str | None, members: Mapping[str, JSONValue]) -> Sequence[Frame]:
        check_first(self.start, path="event")
        if self.sample_rate is None:
            self._format = _announced(content_type)
        self.start = StartFrame(
            audio_in_sample_rate=self._format.sample_rate,
            audio_out_sample_rate=self._format.sample_rate,
            parameters={name: value for name, value in members.items() if name not in _OWN_MEMBERS},
        )
        return (self.start,)


def _announced(content_type: str | None) -> AudioFormat:
    if content_type is None:
        return _DEFAULT
    parts = _CONTENT_TYPE.fullmatch(content_type)
    if parts is None or int(parts[1]) not in SAMPLE_RATES:
        rates = ", ".join(map(str, SAMPLE_RATES))
        raise RemoteProtocolError(f"audio/l16 with a rate of {rates} is wanted", path="content-type")
    return AudioFormat(int(parts[1]))
