"""Plivo Audio Streams: JSON text messages, audio as base64 of mu-law at 8 kHz.

Received: ``start`` (StartFrame), ``media`` (AudioFrame), ``dtmf`` (DTMFFrame), ``playedStream`` (MarkFrame: played),
``clearedAudio`` (no frame), ``stop`` (EndFrame). Sent: AudioFrame (``playAudio``), MarkFrame (``checkpoint``),
InterruptionFrame (``clearAudio``), MessageFrame (as it is).
"""

from collections.abc import Sequence
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
    Dtmf,
    Media,
    Stop,
    check_encoding,
    check_first,
    check_id,
    custom_message,
    frames_of,
    not_started,
    read,
    unsent,
)
from .protocol import Message


@frozen(kw_only=True)
class MediaFormat:
    encoding: str | None = None


@frozen(kw_only=True)
class StartDetails:
    stream_id: str
    call_id: str | None = None
    account_id: str | None = None
    media_format: MediaFormat | None = None


@frozen(kw_only=True)
class Start:
    """``extra_headers`` are what the Stream element of the call's XML was given."""

    start: StartDetails
    extra_headers: JSONValue = None


@frozen(kw_only=True)
class PlayedStream:
    name: str


@frozen(kw_only=True)
class ClearedAudio:
    """The clear command was carried out."""


@frozen(kw_only=True)
class Checkpoint:
    stream_id: str
    name: str


@frozen(kw_only=True)
class ClearAudio:
    stream_id: str


Incoming: TypeAlias = Start | Media | Dtmf | PlayedStream | ClearedAudio | Stop
Outgoing: TypeAlias = Checkpoint | ClearAudio


def _wire_name(attribute: str) -> str:
    return attribute if attribute == "extra_headers" else camel_case(attribute)  # the one name with an underscore


_converter: Final = make_converter(rename=_wire_name)
_incoming: Final[TaggedUnion[Incoming]] = TaggedUnion(
    _converter,
    tag="event",
    kinds={
        "start": Start,
        "media": Media,
        "dtmf": Dtmf,
        "playedStream": PlayedStream,
        "played": PlayedStream,  # what older versions call it
        "clearedAudio": ClearedAudio,
        "stop": Stop,
    },
)
_outgoing: Final[TaggedUnion[Outgoing]] = TaggedUnion(
    _converter, tag="event", kinds={"checkpoint": Checkpoint, "clearAudio": ClearAudio}
)
_MEDIA_HEAD: Final = '{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,"payload":"'


@final
@define(eq=False, kw_only=True)
class PlivoFrameSerializer:
    """One Plivo stream; ``stream_id`` is given only when the start message was read elsewhere."""

    stream_id: str | None = field(default=None, validator=ID_RULE)
    chunk_ms: int | None = field(default=PACKET_MS, validator=PACKET_MS_RULE)
    start: StartFrame | None = field(default=None, init=False)
    """What the start message said; None until it came."""
    _given_stream_id: str | None = field(default=None, init=False)
    _media_tail: str = field(default="", init=False)

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

    def fresh(self) -> "PlivoFrameSerializer":
        return evolve(self, stream_id=self._given_stream_id)

    def _address(self, stream_id: str) -> None:
        self._media_tail = f'"}},"streamId":{dumps(stream_id)}}}'
        self.stream_id = stream_id

    def encode(self, frame: Frame) -> Sequence[Message]:
        if isinstance(frame, AudioFrame):
            audio = frame.audio
            if audio and frame.sample_rate == TELEPHONE_RATE and frame.num_channels == 1 and self.stream_id is not None:
                return (f"{_MEDIA_HEAD}{to_base64(pcm_to_ulaw(audio))}{self._media_tail}",)
            return unsent(frame, TELEPHONE, is_ready=self.is_ready)
        match frame:
            case InterruptionFrame():
                return self._command(ClearAudio(stream_id=self.stream_id)) if self.stream_id is not None else ()
            case MarkFrame():
                if self.stream_id is None:
                    raise not_started("a mark")
                return self._command(Checkpoint(stream_id=self.stream_id, name=frame.mark))
            case MessageFrame():
                return custom_message(frame)
            case _:
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
            return self._started(incoming)
        if isinstance(incoming, PlayedStream):
            return (MarkFrame(mark=incoming.name),)
        return frames_of(incoming, ulaw_to_pcm, TELEPHONE)

    def _started(self, message: Start) -> Sequence[Frame]:
        details = message.start
        check_first(self.start, path="event")
        check_id(details.stream_id, path="start.streamId")
        if details.media_format is not None:
            check_encoding(details.media_format.encoding, "audio/x-mulaw", path="start.mediaFormat.encoding")
        self._address(details.stream_id)
        headers = message.extra_headers
        self.start = StartFrame(
            stream_id=details.stream_id,
            call_id=details.call_id,
            account_id=details.account_id,
            audio_in_sample_rate=TELEPHONE.sample_rate,
            audio_out_sample_rate=TELEPHONE.sample_rate,
            parameters={"extra_headers": headers} if headers else {},
        )
        return (self.start,)
