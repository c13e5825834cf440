"""The one serializer of all telephone lines: what differs between providers stands in their tables.

Rules
1. The line's audio is mono; what leaves is ``lines.audio_out``'s, what comes ``lines.audio_in``'s.
2. Of the tracks that a line carries those are heard that ``tracks`` names, the caller's own without a destination and
   another one with its name as ``destination``. Audio without bytes gives no frames.
3. The stream's id comes with the start message, once, or was given. Until then audio and marks cannot be addressed and
   are an error; an interruption has nothing to clear and gives no message.
4. A ``MessageFrame`` is sent as it is where the provider takes such, except one labelled "rtvi-ai": a telephone has no
   use for it. Where it takes none, the first one is told in the log.
5. A start message that is refused changes nothing.
6. ``pts`` and ``id`` of audio are the provider's timestamp, in nanoseconds, and its packet number, where it says them.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final, Self

from attrs import define, evolve, field
from attrs.validators import and_, deep_iterable, ge, instance_of, optional

from ..._documented import documented
from ...audio.format import AudioFormat
from ...errors import RemoteProtocolError
from ...frames import (
    DTMF_DIGITS,
    AudioFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    JSONValue,
    MarkFrame,
    MessageFrame,
    StartFrame,
    checked_audio_frame,
)
from ..codec import MAX_DEPTH, WHOLE, check_depth, dumps, loads_of_any_depth
from ..coded import CodedAudio
from ..converters import quick_base64, to_base64
from ..protocol import Message, StartRefused, start_anew
from .audio_in import AudioIn
from .audio_out import AudioOut, not_started
from .line import Announcement, Coding, Line, check_id
from .messages import CALLER, OWN_VOICE, LineDtmf, Mark, Media, Stop, number, pts_of

logger = logging.getLogger("trio_transports.serializers")

PACKET_MS_RULE: Final[Any] = optional(and_(instance_of(int), ge(10)))

_RTVI_LABEL: Final = "rtvi-ai"
_PAYLOAD: Final = "media.payload"
_QUICK_ROOM: Final = 2 * MAX_DEPTH
"""So short beside the payload, a message has no room for deep nesting."""


def _names(tracks: Iterable[str]) -> tuple[str, ...]:
    return tuple(tracks)


def _known_tracks(instance: "LineSerializer", _attribute: object, tracks: tuple[str, ...]) -> None:
    unknown = [track for track in tracks if track not in instance.line.tracks]
    if unknown or not tracks:
        raise ValueError(
            f"{type(instance).__name__}.tracks takes {', '.join(instance.line.tracks)}, "
            + (f"not {', '.join(map(repr, unknown))}" if unknown else "and at least one")
        )


@documented
@define(eq=False, kw_only=True)
class LineSerializer(ABC):
    """One stream of one call. A provider's class has its table, its settings, and reads its start message."""

    line: ClassVar[Line]
    """The provider's table: its codes, its messages, what it can do."""
    names_destinations: ClassVar[bool] = False
    """Whether messages can name the output track that they are for: if not, a session has one track."""
    carries_pictures: ClassVar[bool] = False
    """It has no message for a picture."""

    stream_id: str | None = field(default=None, validator=optional(instance_of(str)))
    """The stream's name, to be given only when the start message was read elsewhere: nothing waits for it then. A wrong
    one is heard by nobody."""
    chunk_ms: int | None = field(default=20, validator=PACKET_MS_RULE)
    """How many milliseconds of audio one message carries. None: as much as the session's parameters say. Some providers
    play other lengths badly."""
    tracks: tuple[str, ...] = field(
        default=(CALLER,), converter=_names, validator=[deep_iterable(instance_of(str)), _known_tracks]
    )
    """Which sides of the call are heard: ``inbound`` is the caller. Another side comes with its name as
    ``destination``; the provider has to send it."""
    start: StartFrame | None = field(default=None, init=False)
    """What the start message said; None until it came."""
    _given_stream_id: str | None = field(default=None, init=False)
    _in: AudioIn = field(init=False)
    _out: AudioOut = field(factory=AudioOut, init=False)
    _has_told: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._given_stream_id = self.stream_id
        self._in = AudioIn(hears_caller=CALLER in self.tracks)
        receive, send = self._before_start()
        self._use(receive, send, path="")
        if self.stream_id is not None or (receive is not None and not self.line.names_streams):
            self._address(self.stream_id or "")

    # What a provider's class says

    @abstractmethod
    def _before_start(self) -> tuple[Coding | None, Coding]:
        """What is received, and what is sent; None for what only a start message can tell."""

    @abstractmethod
    def _announced(self, message: Any, document: JSONValue) -> Announcement:  # noqa: ANN401 - its own start message
        """What the start message says."""

    def _news(self, message: object, document: JSONValue) -> Sequence[Frame]:
        """The frames of a message that only this provider has."""
        return ()

    # What a session asks

    @property
    def audio_format(self) -> AudioFormat:
        """What is sent; audio that is received says its own rate."""
        return self._out.encoder.format

    @property
    def held_ms(self) -> float:
        """How many milliseconds of the last audio come out only with what follows it, in this line's code."""
        return self._out.encoder.held_ms

    @property
    def is_ready(self) -> bool:
        """Whether the peer has announced its stream, so that it can be addressed; audio waits until then."""
        return self._out.is_open

    @property
    def has_marks(self) -> bool:
        """Whether the peer tells when a mark was played. Without, what was heard is reckoned by the clock."""
        return self.line.mark is not None

    @property
    def max_message_bytes(self) -> int:
        """The longest message, in bytes, that such a peer sends: what ``max_message_bytes`` is unless you set it."""
        return self.line.max_message_bytes

    def use_bitrate(self, bits_per_second: int) -> None:
        """Send Opus, where that is the line's code, with about so many bits per second."""
        self._out.use_bitrate(bits_per_second)

    def keep_coded(self) -> None:
        """Decode no audio that has to be in its order first; ``coded`` gives it."""
        self._in.keep_coded()

    def coded(self) -> Sequence[CodedAudio]:
        """Give the packets since the last call."""
        return self._in.coded()

    def fresh(self) -> Self:
        """One with the same settings for another call."""
        return evolve(self, stream_id=self._given_stream_id) if self.line.names_streams else evolve(self)

    def reconnected(self) -> None:
        """Forget what was known of a connection that is lost: the next begins with its own start message."""
        bitrate, keeps_coded = self._out.bitrate, self._in.keeps_coded
        start_anew(self, self.fresh())
        if bitrate is not None:
            self.use_bitrate(bitrate)
        if keeps_coded:
            self.keep_coded()

    # Out

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The messages for one frame, in order; none where this dialect has no message for it."""
        if isinstance(frame, AudioFrame):
            # The usual shape is sent from here: a call less for each packet.
            out, audio = self._out, frame.audio
            to_line = out.to_line
            if audio and frame.sample_rate == out.rate and frame.num_channels == 1 and to_line is not None:
                if out.head:
                    return (f"{out.head}{to_base64(to_line(audio))}{out.tail}",)
                return (to_line(audio),)
            return out.unusual(frame)
        line, stream = self.line, self.stream_id or ""
        match frame:
            case InterruptionFrame():
                return self._command(line.clear(stream)) if line.clear is not None and self._out.is_open else ()
            case MarkFrame() if line.mark is not None:
                if not self._out.is_open:
                    raise not_started("a mark")
                return self._command(line.mark(stream, frame.mark))
            case EndFrame() if line.end is not None and self._out.is_open:
                return self._command(line.end(stream))
            case MessageFrame():
                return self._custom(frame.message)
            case _:
                return ()

    def _command(self, command: object) -> Sequence[Message]:
        if isinstance(command, str):
            return (command,)
        assert self.line.outgoing is not None
        return (dumps(self.line.outgoing.unstructure(command)),)

    def _custom(self, message: JSONValue) -> Sequence[Message]:
        if not self.line.takes_messages:
            if not self._has_told:
                self._has_told = True
                logger.warning(
                    "%s takes no messages of the application's own%s: this MessageFrame and later ones are not sent",
                    self.line.name,
                    self.line.why_no_messages,
                )
            return ()
        if isinstance(message, dict) and message.get("label") == _RTVI_LABEL:
            return ()
        return (dumps(message, path="message"),)

    # In

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in one message.

        What cannot be read raises ``RemoteProtocolError``; what is not known gives none.
        """
        if self.line.packet is None:
            return self._binary(message) if type(message) is bytes else self._read(loads_of_any_depth(message))
        document: Any = loads_of_any_depth(message)
        try:
            media = document["media"]
            payload = media["payload"]
            if (
                document["event"] == "media"
                and media.get("track", CALLER) == CALLER
                and len(message) - len(payload) < _QUICK_ROOM
            ):
                # The caller's voice in its usual shape. What is unusual or wrong is left to the converter.
                pcm = self._in.to_pcm(quick_base64(payload))  # type: ignore[misc] # None is a TypeError
                if not pcm:
                    return ()
                pts, place = pts_of(media.get("timestamp")), number(media.get("chunk"))
                return (checked_audio_frame(pcm, self._in.rate, 1, pts, None, place or 0),)
        except (KeyError, TypeError, AttributeError, ValueError):
            pass
        return self._read(document)

    def _read(self, document: JSONValue) -> Sequence[Frame]:
        check_depth(document)
        incoming = self.line.incoming.structure(document)
        match incoming:
            case None:
                return ()
            case Media(media=media):
                if media.track == OWN_VOICE and OWN_VOICE not in self.tracks:
                    return ()
                if media.track != OWN_VOICE and CALLER not in self.tracks:
                    return ()
                return self._in.heard(
                    media.payload,
                    pts=pts_of(media.timestamp),
                    place=number(media.chunk) or 0,
                    destination=OWN_VOICE if media.track == OWN_VOICE else None,
                    path=_PAYLOAD,
                )
            case LineDtmf(dtmf=key):
                return (key_pressed(key.digit, path="dtmf.digit"),)
            case Mark(mark=mark):
                return (MarkFrame(mark=mark.name),)
            case Stop():
                return (EndFrame(),)
        return (
            self._started(incoming, document)
            if isinstance(incoming, self.line.start)
            else self._news(incoming, document)
        )

    def _binary(self, data: bytes) -> Sequence[Frame]:
        try:
            pcm = self._in.to_pcm(data)  # type: ignore[misc] # None is a TypeError
            if pcm:
                return (checked_audio_frame(pcm, self._in.rate),)
        except (TypeError, ValueError):
            return self._in.heard(data, path=WHOLE)
        return ()

    # The start

    def _started(self, message: object, document: JSONValue) -> Sequence[Frame]:
        if self.start is not None:
            raise RemoteProtocolError("the stream has started already", path=self.line.incoming.tag)
        try:
            announcement = self._announced(message, document)
        except ValueError as exc:  # what was given here and what is announced do not go together
            raise StartRefused(str(exc), path=self.line.incoming.tag) from exc
        if announcement.id_at:
            check_id(announcement.stream_id, path=announcement.id_at)
        self._use(announcement.receive, announcement.send, path=announcement.media_at)
        self._address(announcement.stream_id)
        self.start = evolve(
            announcement.start,
            stream_id=announcement.stream_id or None,
            audio_in_sample_rate=self._in.rate,
            audio_out_sample_rate=self._out.rate,
        )
        return (self.start,)

    def _use(self, receive: Coding | None, send: Coding, *, path: str) -> None:
        """Make both directions; a code that cannot be made here is a refusal."""
        try:
            decoder = None if receive is None else receive.decoder()
            encoder = send.encoder(self._out.bitrate)
        except (ValueError, ImportError) as exc:
            if not path:
                raise
            raise StartRefused(str(exc), path=path) from exc
        self._in.use(receive, decoder)
        self._out.use(encoder)

    def _address(self, stream_id: str) -> None:
        self.stream_id = stream_id or None
        self._out.open(*(("", "") if self.line.packet is None else self.line.packet(stream_id, self._out.encoder)))


def key_pressed(digit: str, *, path: str) -> DTMFFrame:
    if len(digit) != 1 or digit not in DTMF_DIGITS:
        raise RemoteProtocolError(f"one of {DTMF_DIGITS} is wanted", path=path)
    return DTMFFrame(digit=digit)
