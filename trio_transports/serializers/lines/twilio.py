"""Twilio Media Streams, and SignalWire, which speaks the same with L16 beside mu-law.

Received: ``connected`` (no frame), ``start`` (StartFrame), ``media`` (AudioFrame), ``dtmf`` (DTMFFrame), ``mark``
(MarkFrame: played, or cleared), ``stop`` (EndFrame). Sent: AudioFrame (``media``), MarkFrame (``mark``),
InterruptionFrame (``clear``). Anything else that is sent ends the stream (Twilio's error 31924).

Sending is for streams opened by ``<Connect><Stream>``. One of ``<Start><Stream>`` only listens, to both tracks if it
says so: give such a one ``tracks=("inbound", "outbound")`` and leave ``audio_out_enabled`` off.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, final

from attrs import define, evolve, frozen

from ..._documented import documented
from ..._moved import suggesting
from ...audio.codecs.codec import L16, PCMU
from ...frames import JSONValue, StartFrame
from ..converters import TaggedUnion, camel_case, make_converter
from .line import BOTH_TRACKS, TELEPHONE_RATE, Announcement, Line, announced, check_tracks, packet_naming
from .messages import LineConnected, LineDtmf, Mark, MarkName, Media, MediaFormat, SidClear, SidMark, Stop
from .one_code import OneCodeSerializer


@frozen(kw_only=True)
class TwilioStartDetails:
    stream_sid: str
    call_sid: str | None = None
    account_sid: str | None = None
    tracks: JSONValue = None
    media_format: MediaFormat | None = None
    custom_parameters: Mapping[str, JSONValue] | None = None


@frozen(kw_only=True)
class TwilioStart:
    start: TwilioStartDetails


_converter: Final = make_converter(rename=camel_case)
TWILIO: Final = Line(
    name="Twilio",
    start=TwilioStart,
    incoming=TaggedUnion(
        _converter,
        tag="event",
        kinds={
            "connected": LineConnected,
            "start": TwilioStart,
            "media": Media,
            "dtmf": LineDtmf,
            "mark": Mark,
            "stop": Stop,
        },
    ),
    outgoing=TaggedUnion(_converter, tag="event", kinds={"mark": SidMark, "clear": SidClear}),
    codecs={PCMU: (TELEPHONE_RATE,)},
    packet=packet_naming("streamSid"),
    mark=lambda stream, name: SidMark(stream_sid=stream, mark=MarkName(name=name)),
    clear=lambda stream: SidClear(stream_sid=stream),
    tracks=BOTH_TRACKS,
    takes_messages=False,
    why_no_messages=" (any would end the stream, error 31924)",
)
SIGNALWIRE: Final = evolve(
    TWILIO, name="SignalWire", codecs={PCMU: (TELEPHONE_RATE,), L16: (8000, 16000, 24000)}, why_no_messages=""
)


@documented
@define(eq=False, kw_only=True)
class _TwilioShaped(OneCodeSerializer):
    """The dialect that Twilio and SignalWire share."""

    def _announced(self, message: Any, document: JSONValue) -> Announcement:  # noqa: ANN401 - a TwilioStart
        details: TwilioStartDetails = message.start
        check_tracks(details.tracks, self.tracks, path="start.tracks")
        announces = announced(self.line, details.media_format, at="start.mediaFormat", rate_at="sampleRate")
        coding = self._coding(announces)
        return Announcement(
            receive=coding,
            send=coding,
            media_at="start.mediaFormat.encoding",
            stream_id=details.stream_sid,
            id_at="start.streamSid",
            start=StartFrame(
                call_id=details.call_sid,
                account_id=details.account_sid,
                parameters=details.custom_parameters or {},
            ),
        )


@documented
@final
@suggesting("line")
@define(eq=False, kw_only=True)
class TwilioFrameSerializer(_TwilioShaped):
    """One Twilio stream. Twilio announces mu-law; L16 in Twilio's words is ``SignalWireFrameSerializer``'s."""

    line: ClassVar[Line] = TWILIO
    """Twilio's table."""


@documented
@final
@define(eq=False, kw_only=True)
class SignalWireFrameSerializer(_TwilioShaped):
    """One SignalWire stream."""

    line: ClassVar[Line] = SIGNALWIRE
    """SignalWire's table."""
