"""Vonage WebSocket calls: audio as 16-bit PCM in binary messages, everything else as JSON text messages.

Received: binary (AudioFrame), ``websocket:connected`` (StartFrame), ``websocket:dtmf`` (DTMFFrame),
``websocket:notify`` (MarkFrame: played), ``websocket:cleared`` (no frame). Sent: AudioFrame (binary), MarkFrame
(``notify``), InterruptionFrame (``clear``), MessageFrame (as it is). The call's end is the socket's.

What the endpoint's ``headers`` were given comes in the connected message beside its own members: the StartFrame has
them as parameters.
"""

import re
from typing import Any, ClassVar, Final, final

from attrs import define, field, frozen

from ..._documented import documented
from ..._moved import suggesting
from ...audio.codecs.codec import L16
from ...errors import RemoteProtocolError
from ...frames import Frame, JSONValue, MarkFrame, MessageFrame, StartFrame
from ..converters import TaggedUnion, make_converter, own_name
from ..protocol import StartRefused
from .line import Announcement, Coding, Line, given
from .messages import Clear, Cleared
from .serializer import LineSerializer, key_pressed
from .settings import known_sample_rate

SAMPLE_RATES: Final = (8000, 16000, 24000)


@frozen(kw_only=True)
class VonageConnected:
    content_type: str | None = None


@frozen(kw_only=True)
class VonageDtmf:
    """The digit is a string or a number, and in some versions one level down."""

    digit: JSONValue = None
    dtmf: JSONValue = None


@frozen(kw_only=True)
class Notify:
    """What a ``notify`` command carried, sent back once the audio in front of it was played."""

    payload: JSONValue = None


def _wire_name(attribute: str) -> str:
    return own_name(attribute).replace("_", "-")


_MARK: Final = "mark"
_converter: Final = make_converter(rename=_wire_name)
VONAGE: Final = Line(
    name="Vonage",
    start=VonageConnected,
    incoming=TaggedUnion(
        _converter,
        tag="event",
        kinds={
            "websocket:connected": VonageConnected,
            "websocket:dtmf": VonageDtmf,
            "websocket:cleared": Cleared,
            "websocket:notify": Notify,
        },
    ),
    outgoing=TaggedUnion(_converter, tag="action", kinds={"clear": Clear, "notify": Notify}),
    codecs={L16: (16000, 8000, 24000)},
    mark=lambda _stream, name: Notify(payload={_MARK: name}),
    clear=lambda _stream: Clear(),
    names_streams=False,
)
_CONTENT_TYPE: Final = re.compile(r"audio/l16; *rate=([0-9]{1,6})", re.IGNORECASE)
_OWN_MEMBERS: Final = ("event", "content-type")


@documented
@final
@suggesting("line")
@define(eq=False, kw_only=True)
class VonageFrameSerializer(LineSerializer):
    """One Vonage call; ``sample_rate`` None takes the one that the connected message announces."""

    line: ClassVar[Line] = VONAGE
    """Vonage's table."""

    sample_rate: int | None = field(default=None, validator=known_sample_rate)
    """Samples per second, in Hz, where the provider says none or a wrong one; None takes what is announced."""
    stream_id: str | None = field(default=None, init=False)
    """None: Vonage names no streams."""

    def _before_start(self) -> tuple[Coding | None, Coding]:
        coding = given(self.line, None, self.sample_rate)
        return (coding if self.sample_rate is not None else None), coding

    def _announced(self, message: Any, document: JSONValue) -> Announcement:  # noqa: ANN401 - a VonageConnected
        assert isinstance(document, dict)
        told = message.content_type
        if self.sample_rate is None or told is None:
            coding = given(self.line, None, self.sample_rate or _announced_rate(told))
        else:
            coding = given(self.line, None, self.sample_rate, _told(told))
        return Announcement(
            receive=coding,
            send=coding,
            media_at="content-type",
            start=StartFrame(parameters={name: value for name, value in document.items() if name not in _OWN_MEMBERS}),
        )

    def _news(self, message: object, document: JSONValue) -> tuple[Frame, ...]:
        match message:
            case VonageDtmf():
                return (key_pressed(_digit(message), path="digit"),)
            case Notify(payload={"mark": str(mark)}):
                return (MarkFrame(mark=mark),)
            case Notify():
                return (MessageFrame(message=document),)  # the answer to a command of the application's own
            case _:
                return ()


def _digit(message: VonageDtmf) -> str:
    digit = message.digit
    if digit is None and isinstance(message.dtmf, dict):
        digit = message.dtmf.get("digit")
    if digit is None and message.dtmf is not None:
        digit = message.dtmf
    if type(digit) is int:
        digit = str(digit)
    if not isinstance(digit, str):
        raise RemoteProtocolError("a digit is wanted", path="digit")
    return digit


def _announced_rate(content_type: str | None) -> int:
    if content_type is None:
        return VONAGE.default_media[1]
    parts = _CONTENT_TYPE.fullmatch(content_type)
    if parts is None or int(parts[1]) not in SAMPLE_RATES:
        rates = ", ".join(map(str, SAMPLE_RATES))
        raise StartRefused(f"audio/l16 with a rate of {rates} is wanted", path="content-type")
    return int(parts[1])


def _told(content_type: str) -> Coding | None:
    """What is announced, where the rate was given; what cannot be read there costs nothing."""
    parts = _CONTENT_TYPE.fullmatch(content_type)
    return None if parts is None else Coding(encoding=L16, rate=int(parts[1]), is_told=True)
