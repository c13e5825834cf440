"""Exotel Voicebot streams: JSON text messages, audio as base64 of 16-bit PCM at 8, 16 or 24 kHz.

Received: ``connected`` (no frame), ``start`` (StartFrame), ``media`` (AudioFrame), ``dtmf`` (DTMFFrame), ``mark``
(MarkFrame: played), ``stop`` (EndFrame). Sent: AudioFrame (``media``), MarkFrame (``mark``), InterruptionFrame
(``clear``), MessageFrame (as it is).

Exotel asks for packets of 100 ms whose size is a multiple of 320 bytes, and plays smaller ones with gaps.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias, final

from attrs import define, evolve, field, frozen
from attrs.validators import and_, in_, instance_of, optional

from ..audio.format import AudioFormat
from ..frames import AudioFrame, Frame, InterruptionFrame, JSONValue, MarkFrame, MessageFrame, StartFrame
from .codec import dumps
from .converters import TaggedUnion, make_converter, to_base64
from .line import (
    ID_RULE,
    PACKET_MS_RULE,
    TELEPHONE,
    Connected,
    Dtmf,
    Mark,
    MarkName,
    Media,
    Stop,
    check_encoding,
    check_first,
    check_id,
    custom_message,
    frames_of,
    not_started,
    pcm_frames,
    read,
    unsent,
)
from .protocol import Message

SAMPLE_RATES: Final = (8000, 16000, 24000)
EXOTEL_PACKET_MS: Final[int | None] = 100


@frozen(kw_only=True)
class MediaFormat:
    """``sample_rate`` is written as a string by some versions, as a number by others."""

    sample_rate: JSONValue = None
    encoding: str | None = None


@frozen(kw_only=True)
class StartDetails:
    stream_sid: str
    call_sid: str | None = None
    account_sid: str | None = None
    from_: str | None = None
    to: str | None = None
    custom_parameters: JSONValue = None
    media_format: MediaFormat | None = None


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

_converter: Final = make_converter()
_incoming: Final[TaggedUnion[Incoming]] = TaggedUnion(
    _converter,
    tag="event",
    kinds={"connected": Connected, "start": Start, "media": Media, "dtmf": Dtmf, "mark": Mark, "stop": Stop},
)
_outgoing: Final[TaggedUnion[Outgoing]] = TaggedUnion(
    _converter, tag="event", kinds={"mark": PlaceMark, "clear": Clear}
)


_LINEAR: Final = ("audio/x-raw", "audio/x-l16", "raw", "base64")


def _as_it_is(pcm: bytes) -> bytes:
    return pcm


def _announced(details: StartDetails) -> AudioFormat:
    rate = details.media_format.sample_rate if details.media_format is not None else None
    known = [known for known in SAMPLE_RATES if rate in (known, str(known)) and type(rate) in (int, str)]
    return AudioFormat(known[0]) if known else TELEPHONE


@final
@define(eq=False, kw_only=True)
class ExotelFrameSerializer:
    """One Exotel stream; ``sample_rate`` None takes the one that the start message announces, 8000 if it does not.

    ``stream_id`` is given only when the start message was read elsewhere.
    """

    sample_rate: int | None = field(default=None, validator=optional(and_(instance_of(int), in_(SAMPLE_RATES))))
    stream_id: str | None = field(default=None, validator=ID_RULE)
    chunk_ms: int | None = field(default=EXOTEL_PACKET_MS, validator=PACKET_MS_RULE)
    start: StartFrame | None = field(default=None, init=False)
    """What the start message said; None until it came."""
    _given_stream_id: str | None = field(default=None, init=False)
    _format: AudioFormat = field(default=TELEPHONE, init=False)
    _media_head: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self._given_stream_id = self.stream_id
        if self.sample_rate is not None:
            self._format = AudioFormat(self.sample_rate)
        if self.stream_id is not None:
            self._address(self.stream_id)

    @property
    def audio_format(self) -> AudioFormat:
        return self._format

    @property
    def is_ready(self) -> bool:
        return self.stream_id is not None

    @property
    def has_marks(self) -> bool:
        return True

    def fresh(self) -> "ExotelFrameSerializer":
        return evolve(self, stream_id=self._given_stream_id)

    def _address(self, stream_id: str) -> None:
        self._media_head = f'{{"event":"media","stream_sid":{dumps(stream_id)},"media":{{"payload":"'
        self.stream_id = stream_id

    def encode(self, frame: Frame) -> Sequence[Message]:
        if isinstance(frame, AudioFrame):
            audio, line = frame.audio, self._format
            if (
                audio
                and frame.sample_rate == line.sample_rate
                and frame.num_channels == 1
                and self.stream_id is not None
            ):
                return (f'{self._media_head}{to_base64(audio)}"}}}}',)
            return unsent(frame, line, is_ready=self.is_ready)
        match frame:
            case InterruptionFrame():
                return self._command(Clear(stream_sid=self.stream_id)) if self.stream_id is not None else ()
            case MarkFrame():
                if self.stream_id is None:
                    raise not_started("a mark")
                return self._command(PlaceMark(stream_sid=self.stream_id, mark=MarkName(name=frame.mark)))
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
            return pcm_frames(heard, self._format)
        incoming = _incoming.structure(heard)
        if isinstance(incoming, Start):
            return self._started(incoming.start)
        return frames_of(incoming, _as_it_is, self._format)

    def _started(self, details: StartDetails) -> Sequence[Frame]:
        check_first(self.start, path="event")
        check_id(details.stream_sid, path="start.stream_sid")
        if details.media_format is not None:
            check_encoding(details.media_format.encoding, *_LINEAR, path="start.media_format.encoding")
        self._address(details.stream_sid)
        if self.sample_rate is None:
            self._format = _announced(details)
        parameters = details.custom_parameters
        if not isinstance(parameters, dict):
            parameters = {"custom_parameters": parameters} if parameters else {}
        self.start = StartFrame(
            stream_id=details.stream_sid,
            call_id=details.call_sid,
            account_id=details.account_sid,
            from_number=details.from_,
            to_number=details.to,
            audio_in_sample_rate=self._format.sample_rate,
            audio_out_sample_rate=self._format.sample_rate,
            parameters=parameters,
        )
        return (self.start,)
