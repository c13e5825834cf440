"""Twilio Media Streams: JSON text messages, audio as base64 of mu-law at 8 kHz.

Received: ``connected`` (no frame), ``start`` (StartFrame), ``media`` (AudioFrame), ``dtmf`` (DTMFFrame), ``mark``
(MarkFrame: played, or cleared), ``stop`` (EndFrame). Sent: AudioFrame (``media``), MarkFrame (``mark``),
InterruptionFrame (``clear``). Nothing else may be sent: any other message ends the stream (Twilio's error 31924), so a
MessageFrame gives none, and the first one is told in the log.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, final

from attrs import define, evolve, field, frozen

from ..audio.format import AudioFormat
from ..audio.g711 import pcm_to_ulaw, ulaw_to_pcm
from ..frames import (
    AudioFrame,
    Frame,
    InterruptionFrame,
    JSONValue,
    MarkFrame,
    MessageFrame,
    StartFrame,
    checked_audio_frame,
)
from .codec import dumps
from .converters import TaggedUnion, camel_case, make_converter, to_base64
from .line import (
    ID_RULE,
    PACKET_MS,
    PACKET_MS_RULE,
    TELEPHONE,
    TELEPHONE_RATE,
    Connected,
    Dtmf,
    Mark,
    MarkName,
    Media,
    Stop,
    check_encoding,
    check_first,
    check_id,
    frames_of,
    not_started,
    read,
    unsent,
)
from .protocol import Message

logger = logging.getLogger("trio_transports.serializers")


@frozen(kw_only=True)
class MediaFormat:
    encoding: str | None = None


@frozen(kw_only=True)
class StartDetails:
    stream_sid: str
    call_sid: str | None = None
    account_sid: str | None = None
    media_format: MediaFormat | None = None
    custom_parameters: Mapping[str, JSONValue] | None = None


@frozen(kw_only=True)
class Start:
    start: StartDetails


@frozen(kw_only=True)
class PlaceMark:
    stream_sid: str
    mark: MarkName


@frozen(kw_only=True)
class Clear:
    stream_sid: str


Incoming: TypeAlias = Connected | Start | Media | Dtmf | Mark | Stop
Outgoing: TypeAlias = PlaceMark | Clear

_converter: Final = make_converter(rename=camel_case)
_incoming: Final[TaggedUnion[Incoming]] = TaggedUnion(
    _converter,
    tag="event",
    kinds={"connected": Connected, "start": Start, "media": Media, "dtmf": Dtmf, "mark": Mark, "stop": Stop},
)
_outgoing: Final[TaggedUnion[Outgoing]] = TaggedUnion(
    _converter, tag="event", kinds={"mark": PlaceMark, "clear": Clear}
)


@final
@define(eq=False, kw_only=True)
class TwilioFrameSerializer:
    """One Twilio stream; ``stream_id`` is given only when the start message was read elsewhere."""

    stream_id: str | None = field(default=None, validator=ID_RULE)
    chunk_ms: int | None = field(default=PACKET_MS, validator=PACKET_MS_RULE)
    start: StartFrame | None = field(default=None, init=False)
    """What the start message said; None until it came."""
    _given_stream_id: str | None = field(default=None, init=False)
    _media_head: str = field(default="", init=False)
    _has_told: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._given_stream_id = self.stream_id
        if self.stream_id is not None:
            self._address(self.stream_id)

    @property
    def audio_format(self) -> AudioFormat:
        return TELEPHONE

    @property
    def is_ready(self) -> bool:
        return self.stream_id is not None

    @property
    def has_marks(self) -> bool:
        return True

    def fresh(self) -> "TwilioFrameSerializer":
        return evolve(self, stream_id=self._given_stream_id)

    def _address(self, stream_id: str) -> None:
        self._media_head = f'{{"event":"media","streamSid":{dumps(stream_id)},"media":{{"payload":"'
        self.stream_id = stream_id

    def encode(self, frame: Frame) -> Sequence[Message]:
        if isinstance(frame, AudioFrame):
            audio = frame.audio
            if audio and frame.sample_rate == TELEPHONE_RATE and frame.num_channels == 1 and self.stream_id is not None:
                return (f'{self._media_head}{to_base64(pcm_to_ulaw(audio))}"}}}}',)
            return unsent(frame, TELEPHONE, is_ready=self.is_ready)
        match frame:
            case InterruptionFrame():
                return self._command(Clear(stream_sid=self.stream_id)) if self.stream_id is not None else ()
            case MarkFrame():
                if self.stream_id is None:
                    raise not_started("a mark")
                return self._command(PlaceMark(stream_sid=self.stream_id, mark=MarkName(name=frame.mark)))
            case MessageFrame():
                return self._unsendable()
            case _:
                return ()

    def _unsendable(self) -> Sequence[Message]:
        if not self._has_told:
            self._has_told = True
            logger.warning(
                "Twilio takes no messages of the application's own (it would end the stream, error 31924): "
                "this MessageFrame and later ones are not sent"
            )
        return ()

    @staticmethod
    def _command(command: Outgoing) -> Sequence[Message]:
        return (dumps(_outgoing.unstructure(command)),)

    def decode(self, message: Message) -> Sequence[Frame]:
        heard = read(message)
        if isinstance(heard, bytes):
            return (checked_audio_frame(ulaw_to_pcm(heard), TELEPHONE_RATE),) if heard else ()
        incoming = _incoming.structure(heard)
        if isinstance(incoming, Start):
            return self._started(incoming.start)
        return frames_of(incoming, ulaw_to_pcm, TELEPHONE)

    def _started(self, details: StartDetails) -> Sequence[Frame]:
        check_first(self.start, path="event")
        check_id(details.stream_sid, path="start.streamSid")
        if details.media_format is not None:
            check_encoding(details.media_format.encoding, "audio/x-mulaw", path="start.mediaFormat.encoding")
        self._address(details.stream_sid)
        self.start = StartFrame(
            stream_id=details.stream_sid,
            call_id=details.call_sid,
            account_id=details.account_sid,
            audio_in_sample_rate=TELEPHONE.sample_rate,
            audio_out_sample_rate=TELEPHONE.sample_rate,
            parameters=details.custom_parameters or {},
        )
        return (self.start,)
