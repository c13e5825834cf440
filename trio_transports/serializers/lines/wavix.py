"""Wavix call streaming: Twilio's words, with the ids of call and stream at the top of the start message.

Received: ``connected`` (no frame), ``start`` (StartFrame), ``media`` (AudioFrame), ``mark`` (MarkFrame), ``stop``
(EndFrame). Sent: AudioFrame (``media``), MarkFrame (``mark``), InterruptionFrame (``clear``).

A start message says nothing of its audio: what it is, is given here, 16-bit PCM at 24 kHz unless told otherwise.
"""

from typing import Any, ClassVar, Final, final

from attrs import define, frozen

from ..._documented import documented
from ...audio.codecs.codec import L16, PCMA, PCMU
from ...frames import JSONValue, StartFrame
from ..converters import TaggedUnion, make_converter
from ..protocol import StartRefused
from .line import BOTH_TRACKS, TELEPHONE_RATE, Announcement, Line, announced, packet_naming
from .messages import IdClear, IdMark, LineConnected, LineDtmf, Mark, MarkName, Media, MediaFormat, Stop
from .one_code import OneCodeSerializer


@frozen(kw_only=True)
class WavixStart:
    """``channel`` is inbound, outbound or both."""

    stream_id: str
    call_id: str | None = None
    channel: str | None = None
    media_format: MediaFormat | None = None


_converter: Final = make_converter()
WAVIX: Final = Line(
    name="Wavix",
    start=WavixStart,
    incoming=TaggedUnion(
        _converter,
        tag="event",
        kinds={
            "connected": LineConnected,
            "start": WavixStart,
            "media": Media,
            "dtmf": LineDtmf,
            "mark": Mark,
            "stop": Stop,
        },
    ),
    outgoing=TaggedUnion(_converter, tag="event", kinds={"mark": IdMark, "clear": IdClear}),
    codecs={L16: (24000, 8000, 16000), PCMU: (TELEPHONE_RATE,), PCMA: (TELEPHONE_RATE,)},
    packet=packet_naming("stream_id"),
    mark=lambda stream, name: IdMark(stream_id=stream, mark=MarkName(name=name)),
    clear=lambda stream: IdClear(stream_id=stream),
    tracks=BOTH_TRACKS,
    takes_messages=False,
)


@documented
@final
@define(eq=False, kw_only=True)
class WavixFrameSerializer(OneCodeSerializer):
    """One Wavix stream; ``encoding`` and ``sample_rate`` say what its audio is, None: L16 at 24000."""

    line: ClassVar[Line] = WAVIX
    """Wavix's table."""

    def _announced(self, message: Any, document: JSONValue) -> Announcement:  # noqa: ANN401 - a WavixStart
        if message.channel not in (None, "both", *self.tracks):
            raise StartRefused(
                f"the stream carries {message.channel[:20]!a} and tracks= asks for {', '.join(self.tracks)}",
                path="channel",
            )
        announces = announced(self.line, message.media_format, at="media_format")
        coding = self._coding(announces)
        return Announcement(
            receive=coding,
            send=coding,
            media_at="media_format.encoding",
            stream_id=message.stream_id,
            id_at="stream_id",
            start=StartFrame(call_id=message.call_id),
        )
