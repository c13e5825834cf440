"""Exotel Voicebot streams: JSON text messages, audio as base64 of 16-bit PCM at 8, 16 or 24 kHz, or of mu-law.

Received: ``connected`` (no frame), ``start`` (StartFrame), ``media`` (AudioFrame), ``dtmf`` (DTMFFrame), ``mark``
(MarkFrame: played), ``stop`` (EndFrame). Sent: AudioFrame (``media``), MarkFrame (``mark``), InterruptionFrame
(``clear``), MessageFrame (as it is).

Exotel asks for packets of 100 ms whose size is a multiple of 320 bytes, and plays smaller ones with gaps.
"""

from typing import Any, ClassVar, Final, final

from attrs import define, field, frozen

from ..._documented import documented
from ..._moved import suggesting
from ...audio.codecs.codec import L16, PCMU
from ...frames import JSONValue, StartFrame
from ..converters import TaggedUnion, make_converter
from .line import TELEPHONE_RATE, Announcement, Line, announced, packet_naming
from .messages import LineConnected, LineDtmf, Mark, MarkName, Media, MediaFormat, SidClear, SidMark, Stop
from .one_code import OneCodeSerializer
from .serializer import PACKET_MS_RULE

EXOTEL_PACKET_MS: Final = 100


@frozen(kw_only=True)
class ExotelStartDetails:
    stream_sid: str
    call_sid: str | None = None
    account_sid: str | None = None
    from_: str | None = None
    to: str | None = None
    custom_parameters: JSONValue = None
    media_format: MediaFormat | None = None


@frozen(kw_only=True)
class ExotelStart:
    start: ExotelStartDetails


_converter: Final = make_converter()
EXOTEL: Final = Line(
    name="Exotel",
    start=ExotelStart,
    incoming=TaggedUnion(
        _converter,
        tag="event",
        kinds={
            "connected": LineConnected,
            "start": ExotelStart,
            "media": Media,
            "dtmf": LineDtmf,
            "mark": Mark,
            "stop": Stop,
        },
    ),
    outgoing=TaggedUnion(_converter, tag="event", kinds={"mark": SidMark, "clear": SidClear}),
    codecs={L16: (8000, 16000, 24000), PCMU: (TELEPHONE_RATE,)},
    packet=packet_naming("stream_sid"),
    packet_ms=EXOTEL_PACKET_MS,
    mark=lambda stream, name: SidMark(stream_sid=stream, mark=MarkName(name=name)),
    clear=lambda stream: SidClear(stream_sid=stream),
)


@documented
@final
@suggesting("line")
@define(eq=False, kw_only=True)
class ExotelFrameSerializer(OneCodeSerializer):
    """One Exotel stream; ``encoding`` and ``sample_rate`` None take what is announced, PCM at 8000 if nothing is.

    ``stream_id`` is given only when the start message was read elsewhere, and with it what that announced.
    """

    line: ClassVar[Line] = EXOTEL
    """Exotel's table."""

    chunk_ms: int | None = field(default=EXOTEL_PACKET_MS, validator=PACKET_MS_RULE)
    """How many milliseconds of audio one message carries. Exotel takes multiples of 20 and wants 100 at least; None: as
    the session's parameters say."""

    def _announced(self, message: Any, document: JSONValue) -> Announcement:  # noqa: ANN401 - an ExotelStart
        details: ExotelStartDetails = message.start
        coding = self._coding(announced(self.line, details.media_format, at="start.media_format"))
        parameters = details.custom_parameters
        if not isinstance(parameters, dict):
            parameters = {"custom_parameters": parameters} if parameters else {}
        return Announcement(
            receive=coding,
            send=coding,
            media_at="start.media_format.encoding",
            stream_id=details.stream_sid,
            id_at="start.stream_sid",
            start=StartFrame(
                call_id=details.call_sid,
                account_id=details.account_sid,
                from_number=details.from_,
                to_number=details.to,
                parameters=parameters,
            ),
        )
