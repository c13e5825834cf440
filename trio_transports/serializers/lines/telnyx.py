"""Telnyx media streaming: JSON text messages, audio as base64, each direction in a code of its own.

Received: ``connected`` (no frame), ``start`` (StartFrame), ``media`` (AudioFrame), ``dtmf`` (DTMFFrame), ``mark``
(MarkFrame: played, or cleared), ``error`` (MessageFrame), ``stop`` (EndFrame). Sent: AudioFrame (``media``), MarkFrame
(``mark``), InterruptionFrame (``clear``), MessageFrame (as it is).

Telnyx announces the code it sends; the code it takes is what the call's ``stream_bidirectional_codec`` and
``stream_bidirectional_sampling_rate`` say, so those are given here. Packets need not come in order: their ``pts`` and
``id`` say what it is. With ``audio_in_jitter_ms`` they are put in order and what is lost is concealed: by Opus' own
decoder, where Opus is the code, and by a fading repeat otherwise. Without, only Opus is concealed, by its numbers.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, final

from attrs import define, evolve, field, frozen
from attrs.validators import in_

from ..._documented import documented
from ..._moved import suggesting
from ...audio.codecs import encoding_of
from ...audio.codecs.codec import AMR_WB, G722, L16, OPUS, PCMA, PCMU, ByteOrder
from ...frames import Frame, JSONValue, MessageFrame, StartFrame
from ..converters import TaggedUnion, make_converter
from .line import (
    BOTH_TRACKS,
    TELEPHONE_RATE,
    Announcement,
    Coding,
    Line,
    announced,
    check_tracks,
    given,
    warn_of_overruling,
)
from .messages import Clear, Error, LineConnected, LineDtmf, Mark, MarkName, Media, MediaFormat, Stop, number
from .serializer import LineSerializer
from .settings import known_encoding, known_sample_rate


@frozen(kw_only=True)
class TelnyxStartDetails:
    call_control_id: str | None = None
    call_session_id: str | None = None
    user_id: str | None = None
    from_: str | None = None
    to: str | None = None
    custom_parameters: Mapping[str, JSONValue] | None = None
    client_state: JSONValue = None
    tags: JSONValue = None
    media_format: MediaFormat | None = None
    tracks: JSONValue = None
    track: JSONValue = None


@frozen(kw_only=True)
class TelnyxStart:
    stream_id: str
    start: TelnyxStartDetails


_converter: Final = make_converter()
TELNYX: Final = Line(
    name="Telnyx",
    start=TelnyxStart,
    incoming=TaggedUnion(
        _converter,
        tag="event",
        kinds={
            "connected": LineConnected,
            "start": TelnyxStart,
            "media": Media,
            "dtmf": LineDtmf,
            "mark": Mark,
            "error": Error,
            "stop": Stop,
        },
    ),
    outgoing=TaggedUnion(_converter, tag="event", kinds={"mark": Mark, "clear": Clear}),
    codecs={
        PCMU: (TELEPHONE_RATE,),
        PCMA: (TELEPHONE_RATE,),
        L16: (8000, 16000, 22050, 24000, 48000),
        G722: (8000, 16000),
        OPUS: (16000, 8000, 24000, 48000),
        AMR_WB: (16000, 8000),
    },
    packet=lambda _stream, _encoder: ('{"event":"media","media":{"payload":"', '"}}'),
    mark=lambda _stream, name: Mark(mark=MarkName(name=name)),
    clear=lambda _stream: Clear(),
    tracks=BOTH_TRACKS,
)


def _told_of(details: TelnyxStartDetails) -> dict[str, JSONValue]:
    """What an application gave its call elsewhere than in the stream's own parameters."""
    told = {"client_state": details.client_state, "tags": details.tags}
    return {name: value for name, value in told.items() if value is not None}


@documented
@final
@suggesting("line")
@define(eq=False, kw_only=True)
class TelnyxFrameSerializer(LineSerializer):
    """One Telnyx stream; ``receive_encoding`` and ``receive_rate`` None take what the start message announces.

    ``stream_id`` is given only when the start message was read elsewhere, and ``receive_encoding`` with it.
    ``byte_order`` is that of L16: RTP has it big-endian, and what was seen of Telnyx is little.
    """

    line: ClassVar[Line] = TELNYX
    """Telnyx' table."""

    send_encoding: str = field(default=PCMU, validator=in_(tuple(TELNYX.codecs)))
    """The code of the audio that leaves: what the call was told in ``stream_bidirectional_codec``. Another one is heard
    as noise."""
    send_rate: int | None = field(default=None, validator=known_sample_rate)
    """Samples per second, in Hz, of the audio that leaves; None is the code's own."""
    receive_encoding: str | None = field(default=None, validator=known_encoding)
    """The code of the audio that comes, to be given with ``stream_id`` only; None takes what is announced."""
    receive_rate: int | None = field(default=None, validator=known_sample_rate)
    """Samples per second, in Hz, of the audio that comes; None takes what is announced."""
    byte_order: ByteOrder = field(default="little", validator=in_(("little", "big")))
    """Which byte of an L16 sample comes first. RTP has it ``big``, what was seen of Telnyx is ``little``. The wrong one
    is loud noise."""

    def _before_start(self) -> tuple[Coding | None, Coding]:
        if self.stream_id is not None and self.receive_encoding is None:
            raise ValueError(
                "TelnyxFrameSerializer.receive_encoding must be given with stream_id: "
                "the start message, which was read elsewhere, says which code Telnyx sends"
            )
        receive = None if self.receive_encoding is None else self._coding(self.receive_encoding, self.receive_rate)
        return receive, self._coding(self.send_encoding, self.send_rate)

    def _coding(self, encoding: str | None, rate: int | None, announces: Coding | None = None) -> Coding:
        usual = announces or Coding(encoding=PCMU, rate=TELEPHONE_RATE, byte_order=self.byte_order)
        return given(self.line, encoding, rate, usual)

    def _announced(self, message: Any, document: JSONValue) -> Announcement:  # noqa: ANN401 - a TelnyxStart
        details: TelnyxStartDetails = message.start
        check_tracks(details.tracks, self.tracks, path="start.tracks")
        check_tracks(details.track, self.tracks, path="start.track")
        announces = None
        if self.receive_encoding is None:
            at = "start.media_format"
            announces = announced(self.line, details.media_format, at=at, byte_order=self.byte_order)
        else:
            told = None if details.media_format is None else details.media_format.encoding
            code = None if told is None else encoding_of(told)
            if code not in (None, self.receive_encoding):
                rate = number(details.media_format.sample_rate) or 0 if details.media_format is not None else 0
                warn_of_overruling(self.line, self.receive_encoding, self.receive_rate or rate, code or "", rate)
        return Announcement(
            receive=self._coding(self.receive_encoding, self.receive_rate, announces),
            send=self._coding(self.send_encoding, self.send_rate, announces and evolve(announces, is_told=False)),
            media_at="start.media_format.encoding",
            stream_id=message.stream_id,
            id_at="stream_id",
            start=StartFrame(
                call_id=details.call_control_id,
                account_id=details.user_id,
                from_number=details.from_,
                to_number=details.to,
                parameters={**_told_of(details), **(details.custom_parameters or {})},
            ),
        )

    def _news(self, message: object, document: JSONValue) -> tuple[Frame, ...]:
        return (MessageFrame(message=document),) if isinstance(message, Error) else ()
