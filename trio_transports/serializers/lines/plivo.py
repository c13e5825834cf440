"""Plivo Audio Streams: JSON text messages, audio as base64 of mu-law at 8 kHz or of 16-bit PCM at 8 or 16 kHz.

Received: ``start`` (StartFrame), ``media`` (AudioFrame), ``dtmf`` (DTMFFrame), ``playedStream`` (MarkFrame: played),
``clearedAudio`` (no frame), ``stop`` (EndFrame). Sent: AudioFrame (``playAudio``), MarkFrame (``checkpoint``),
InterruptionFrame (``clearAudio``), MessageFrame (as it is).

A start message that says nothing of its audio is taken for mu-law, as Pipecat does; Plivo's own default is L16, and it
says so. Vobiz speaks this dialect too.
"""

from contextlib import suppress
from typing import Any, ClassVar, Final, final

from attrs import define, frozen

from ..._documented import documented
from ..._moved import suggesting
from ...audio.codecs import Encoder
from ...audio.codecs.codec import L16, PCMU
from ...errors import RemoteProtocolError
from ...frames import Frame, JSONValue, MarkFrame, StartFrame
from ..codec import dumps, loads
from ..converters import TaggedUnion, camel_case, make_converter
from .line import BOTH_TRACKS, TELEPHONE_RATE, Announcement, Line, announced, check_tracks
from .messages import Cleared, LineDtmf, Media, MediaFormat, Stop
from .one_code import OneCodeSerializer


@frozen(kw_only=True)
class PlivoStartDetails:
    stream_id: str
    call_id: str | None = None
    account_id: str | None = None
    tracks: JSONValue = None
    media_format: MediaFormat | None = None


@frozen(kw_only=True)
class PlivoStart:
    """``extra_headers`` are what the Stream element of the call's XML was given."""

    start: PlivoStartDetails
    extra_headers: JSONValue = None


@frozen(kw_only=True)
class PlayedStream:
    name: str


@frozen(kw_only=True)
class Checkpoint:
    stream_id: str
    name: str


@frozen(kw_only=True)
class ClearAudio:
    stream_id: str


def _wire_name(attribute: str) -> str:
    return attribute if attribute == "extra_headers" else camel_case(attribute)  # the one name with an underscore


_CONTENT_TYPES: Final = {PCMU: "audio/x-mulaw", L16: "audio/x-l16"}


def _packet(stream: str, encoder: Encoder) -> tuple[str, str]:
    content_type, rate = _CONTENT_TYPES[encoder.encoding], encoder.format.sample_rate
    return (
        f'{{"event":"playAudio","media":{{"contentType":"{content_type}","sampleRate":{rate},"payload":"',
        f'"}},"streamId":{dumps(stream)}}}',
    )


def _parameters(headers: JSONValue) -> dict[str, JSONValue]:
    """Each by its own name, and all of them as they were told: as pairs, or as JSON in a string."""
    found = headers
    if isinstance(headers, str):
        with suppress(RemoteProtocolError):
            found = loads(headers)
        if found is headers:
            pairs = (pair.partition("=") for pair in headers.replace(";", ",").split(","))
            found = {name.strip(): value.strip() for name, is_pair, value in pairs if is_pair}
    if not headers or headers == "{}":
        return {}
    return {"extra_headers": headers, **(found if isinstance(found, dict) else {})}


_converter: Final = make_converter(rename=_wire_name)
PLIVO: Final = Line(
    name="Plivo",
    start=PlivoStart,
    incoming=TaggedUnion(
        _converter,
        tag="event",
        kinds={
            "start": PlivoStart,
            "media": Media,
            "dtmf": LineDtmf,
            "playedStream": PlayedStream,
            "played": PlayedStream,  # what older versions call it
            "clearedAudio": Cleared,
            "stop": Stop,
        },
    ),
    outgoing=TaggedUnion(_converter, tag="event", kinds={"checkpoint": Checkpoint, "clearAudio": ClearAudio}),
    codecs={PCMU: (TELEPHONE_RATE,), L16: (8000, 16000)},
    packet=_packet,
    mark=lambda stream, name: Checkpoint(stream_id=stream, name=name),
    clear=lambda stream: ClearAudio(stream_id=stream),
    tracks=BOTH_TRACKS,
)


@documented
@final
@suggesting("line")
@define(eq=False, kw_only=True)
class PlivoFrameSerializer(OneCodeSerializer):
    """One Plivo stream; ``encoding`` and ``sample_rate`` None take what is announced.

    ``stream_id`` is given only when the start message was read elsewhere, and with it what that announced.
    """

    line: ClassVar[Line] = PLIVO
    """Plivo's table."""

    def _announced(self, message: Any, document: JSONValue) -> Announcement:  # noqa: ANN401 - a PlivoStart
        details: PlivoStartDetails = message.start
        check_tracks(details.tracks, self.tracks, path="start.tracks")
        announces = announced(self.line, details.media_format, at="start.mediaFormat", rate_at="sampleRate")
        coding = self._coding(announces)
        headers = message.extra_headers
        return Announcement(
            receive=coding,
            send=coding,
            media_at="start.mediaFormat.encoding",
            stream_id=details.stream_id,
            id_at="start.streamId",
            start=StartFrame(
                call_id=details.call_id,
                account_id=details.account_id,
                parameters=_parameters(headers),
            ),
        )

    def _news(self, message: object, document: JSONValue) -> tuple[Frame, ...]:
        return (MarkFrame(mark=message.name),) if isinstance(message, PlayedStream) else ()
