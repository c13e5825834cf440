"""Telnyx media streaming: JSON text messages, audio as base64 of mu-law (PCMU) or A-law (PCMA) at 8 kHz.

Received: ``connected`` (no frame), ``start`` (StartFrame), ``media`` (AudioFrame), ``dtmf`` (DTMFFrame), ``mark``
(MarkFrame: played, or cleared), ``error`` (MessageFrame), ``stop`` (EndFrame). Sent: AudioFrame (``media``), MarkFrame
(``mark``), InterruptionFrame (``clear``), MessageFrame (as it is).

The two directions may be coded differently. Telnyx announces the code it sends; the code it takes is what the call's
``stream_bidirectional_codec`` says, so that one is given here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, final

from attrs import define, evolve, field, frozen
from attrs.validators import in_, optional

from ..audio.format import AudioFormat
from ..audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from ..errors import RemoteProtocolError
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
from .converters import TaggedUnion, make_converter, to_base64
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
    check_first,
    check_id,
    custom_message,
    frames_of,
    not_started,
    read,
    unsent,
)
from .protocol import Message, StartRefused

_ENCODERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {"PCMU": pcm_to_ulaw, "PCMA": pcm_to_alaw}
_DECODERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {"PCMU": ulaw_to_pcm, "PCMA": alaw_to_pcm}


@frozen(kw_only=True)
class MediaFormat:
    encoding: str = "PCMU"


@frozen(kw_only=True)
class StartDetails:
    call_control_id: str | None = None
    user_id: str | None = None
    from_: str | None = None
    to: str | None = None
    custom_parameters: Mapping[str, JSONValue] | None = None
    media_format: MediaFormat | None = None


@frozen(kw_only=True)
class Start:
    stream_id: str
    start: StartDetails


@frozen(kw_only=True)
class Error:
    """Something that was sent, or the stream, has failed; the handler is told as it stands."""


@frozen(kw_only=True)
class Clear:
    """Stop what is playing; Telnyx knows the stream by its socket."""


Incoming: TypeAlias = Connected | Start | Media | Dtmf | Mark | Error | Stop
Outgoing: TypeAlias = Mark | Clear

_converter: Final = make_converter()
_incoming: Final[TaggedUnion[Incoming]] = TaggedUnion(
    _converter,
    tag="event",
    kinds={
        "connected": Connected,
        "start": Start,
        "media": Media,
        "dtmf": Dtmf,
        "mark": Mark,
        "error": Error,
        "stop": Stop,
    },
)
_outgoing: Final[TaggedUnion[Outgoing]] = TaggedUnion(_converter, tag="event", kinds={"mark": Mark, "clear": Clear})
_MEDIA_HEAD: Final = '{"event":"media","media":{"payload":"'
_ENCODING_PATH: Final = "start.media_format.encoding"


@final
@define(eq=False, kw_only=True)
class TelnyxFrameSerializer:
    """One Telnyx stream; ``receive_encoding`` None takes the code that the start message announces.

    ``stream_id`` is given only when the start message was read elsewhere, and ``receive_encoding`` with it.
    """

    send_encoding: str = field(default="PCMU", validator=in_(tuple(_ENCODERS)))
    receive_encoding: str | None = field(default=None, validator=optional(in_(tuple(_DECODERS))))
    stream_id: str | None = field(default=None, validator=ID_RULE)
    chunk_ms: int | None = field(default=PACKET_MS, validator=PACKET_MS_RULE)
    start: StartFrame | None = field(default=None, init=False)
    """What the start message said; None until it came."""
    _given_stream_id: str | None = field(default=None, init=False)
    _to_line: Callable[[bytes], bytes] = field(default=pcm_to_ulaw, init=False)
    _from_line: Callable[[bytes], bytes] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if self.stream_id is not None and self.receive_encoding is None:
            raise ValueError(
                "TelnyxFrameSerializer.receive_encoding must be given with stream_id: "
                "the start message, which was read elsewhere, says PCMU or PCMA"
            )
        self._given_stream_id = self.stream_id
        self._to_line = _ENCODERS[self.send_encoding]
        if self.receive_encoding is not None:
            self._from_line = _DECODERS[self.receive_encoding]

    @property
    def audio_format(self) -> AudioFormat:
        return TELEPHONE

    @property
    def is_ready(self) -> bool:
        """Telnyx needs no id, but it takes nothing before it has sent its start message."""
        return self.stream_id is not None

    @property
    def has_marks(self) -> bool:
        return True

    def fresh(self) -> "TelnyxFrameSerializer":
        return evolve(self, stream_id=self._given_stream_id)

    def encode(self, frame: Frame) -> Sequence[Message]:
        if isinstance(frame, AudioFrame):
            audio = frame.audio
            if audio and frame.sample_rate == TELEPHONE_RATE and frame.num_channels == 1 and self.stream_id is not None:
                return (f'{_MEDIA_HEAD}{to_base64(self._to_line(audio))}"}}}}',)
            return unsent(frame, TELEPHONE, is_ready=self.is_ready)
        match frame:
            case InterruptionFrame():
                return self._command(Clear()) if self.stream_id is not None else ()
            case MarkFrame():
                if self.stream_id is None:
                    raise not_started("a mark")
                return self._command(Mark(mark=MarkName(name=frame.mark)))
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
            from_line = self._from_line or self._decoded
            return (checked_audio_frame(from_line(heard), TELEPHONE_RATE),) if heard else ()
        incoming = _incoming.structure(heard)
        if isinstance(incoming, Start):
            return self._started(incoming)
        if isinstance(incoming, Error):
            return (MessageFrame(message=heard),)
        return frames_of(incoming, self._decoded, TELEPHONE)

    def _decoded(self, payload: bytes) -> bytes:
        if self._from_line is None:
            raise RemoteProtocolError("audio before a start message that says how it is coded", path="media.payload")
        return self._from_line(payload)

    def _started(self, message: Start) -> Sequence[Frame]:
        details = message.start
        check_first(self.start, path="event")
        check_id(message.stream_id, path="stream_id")
        announced = self.receive_encoding or (details.media_format or MediaFormat()).encoding
        if announced not in _DECODERS:
            raise StartRefused(
                f"the line's audio is {announced[:40]!a}, only {' or '.join(_DECODERS)} is taken here",
                path=_ENCODING_PATH,
            )
        self._from_line = _DECODERS[announced]
        self.stream_id = message.stream_id
        self.start = StartFrame(
            stream_id=message.stream_id,
            call_id=details.call_control_id,
            account_id=details.user_id,
            from_number=details.from_,
            to_number=details.to,
            audio_in_sample_rate=TELEPHONE.sample_rate,
            audio_out_sample_rate=TELEPHONE.sample_rate,
            parameters=details.custom_parameters or {},
        )
        return (self.start,)
