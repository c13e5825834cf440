"""Asterisk's chan_websocket: media in binary messages, control as JSON or as plain text, whichever it begins with.

Received: ``MEDIA_START`` (StartFrame), binary (AudioFrame), ``DTMF_END`` (DTMFFrame), ``MEDIA_MARK_PROCESSED``
(MarkFrame: played), ``MEDIA_XOFF`` and ``MEDIA_XON`` (the session's clock stands still in between), others
(MessageFrame). Sent: AudioFrame (binary), MarkFrame (``MARK_MEDIA``), InterruptionFrame (``FLUSH_MEDIA``), EndFrame
(``HANGUP``, which hangs up), MessageFrame with a ``command`` (as it is, or as plain text).

Rules
1. The code is the one the channel was dialled with, and is announced; codes with packets of their own (Opus, Speex,
   G.729) Asterisk passes through untouched, and they are refused here.
2. A message holds whole frames of ``optimal_frame_size``, or Asterisk drops the rest: the last one is filled up with
   silence. None is longer than ``MAX_MESSAGE_BYTES``, which would end the call. ``chunk_ms`` becomes a multiple of
   the frame's length, so that this silence falls between words only; a frame of no whole milliseconds is refused.
3. Plain text is an event's name and ``key:value`` pairs with blanks between.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Self, final

from attrs import define, evolve, field, frozen
from attrs.validators import instance_of

from ..._documented import documented
from ...audio.codecs.codec import G722, L16, PCMA, PCMU
from ...errors import LocalProtocolError
from ...frames import AudioFrame, Frame, JSONValue, MarkFrame, MessageFrame, StartFrame
from ..codec import dumps, loads_of_any_depth
from ..converters import TaggedUnion, make_converter
from ..protocol import Message, StartRefused
from .line import TELEPHONE_RATE, Announcement, Coding, Line
from .messages import Told, number
from .serializer import LineSerializer, key_pressed

MAX_MESSAGE_BYTES: Final = 65_500
MAX_FRAME_MS: Final = 500

FORMATS: Final = {
    "ulaw": Coding(encoding=PCMU, rate=TELEPHONE_RATE),
    "alaw": Coding(encoding=PCMA, rate=TELEPHONE_RATE),
    "g722": Coding(encoding=G722, rate=16000),
    "slin": Coding(encoding=L16, rate=8000),
    **{f"slin{rate // 1000}": Coding(encoding=L16, rate=rate) for rate in (12000, 16000, 24000, 32000, 44100, 48000)},
}
"""What Asterisk calls the codes that it can cut into frames, so that they are sent here."""


@frozen(kw_only=True)
class MediaStart:
    format: str
    connection_id: str | None = None
    channel: str | None = None
    channel_id: str | None = None
    optimal_frame_size: JSONValue = None
    channel_variables: JSONValue = None


@frozen(kw_only=True)
class DtmfEnd:
    digit: str


@frozen(kw_only=True)
class MarkProcessed:
    correlation_id: str


@frozen(kw_only=True)
class Xoff:
    """Asterisk's queue is nearly full."""


@frozen(kw_only=True)
class Xon:
    """There is room again."""


@frozen(kw_only=True)
class AnswerChannel:
    """Take the call, where the dial string left that to the application."""


@frozen(kw_only=True)
class HangUp:
    """End the call."""


@frozen(kw_only=True)
class FlushMedia:
    """Stop what is playing."""


@frozen(kw_only=True)
class MarkMedia:
    correlation_id: str


_converter: Final = make_converter()
ASTERISK: Final = Line(
    name="Asterisk",
    start=MediaStart,
    incoming=TaggedUnion(
        _converter,
        tag="event",
        kinds={
            "MEDIA_START": MediaStart,
            "DTMF_END": DtmfEnd,
            "MEDIA_MARK_PROCESSED": MarkProcessed,
            "MEDIA_XOFF": Xoff,
            "MEDIA_XON": Xon,
            "STATUS": Told,
            "MEDIA_BUFFERING_COMPLETED": Told,
            "QUEUE_DRAINED": Told,
        },
    ),
    outgoing=TaggedUnion(
        _converter,
        tag="command",
        kinds={"ANSWER": AnswerChannel, "HANGUP": HangUp, "FLUSH_MEDIA": FlushMedia, "MARK_MEDIA": MarkMedia},
    ),
    codecs={
        PCMU: (TELEPHONE_RATE,),
        PCMA: (TELEPHONE_RATE,),
        L16: (8000, 12000, 16000, 24000, 32000, 44100, 48000),
        G722: (16000,),
    },
    mark=lambda _stream, name: MarkMedia(correlation_id=name),
    clear=lambda _stream: FlushMedia(),
    end=lambda _stream: HangUp(),
    names_streams=False,
)


@documented
@final
@define(eq=False, kw_only=True)
class AsteriskFrameSerializer(LineSerializer):
    """One channel. ``answers``: the dial string has the option that leaves answering to the application."""

    line: ClassVar[Line] = ASTERISK
    """Asterisk's table."""

    answers: bool = field(default=False, validator=instance_of(bool))
    """Answer the channel: for a dial string with the option that leaves it to the application. Otherwise Asterisk has
    answered already."""
    stream_id: str | None = field(default=None, init=False)
    """None: there is one channel on a socket."""
    is_paused: bool = field(default=False, init=False)
    """Asterisk has as much as it can hold: no audio is to be sent now."""
    _given_chunk_ms: int | None = field(default=None, init=False)
    _is_plain: bool = field(default=False, init=False)
    _frame_bytes: int = field(default=0, init=False)
    _owed: Sequence[Message] = field(default=(), init=False)

    def _before_start(self) -> tuple[Coding | None, Coding]:
        self._given_chunk_ms = self.chunk_ms
        return None, FORMATS["ulaw"]

    def fresh(self) -> Self:
        """One with the same settings for another call."""
        return evolve(self, chunk_ms=self._given_chunk_ms)

    def _announced(self, message: Any, document: JSONValue) -> Announcement:  # noqa: ANN401 - a MediaStart
        coding = FORMATS.get(message.format)
        if coding is None:
            raise StartRefused(
                f"the channel's format is {message.format[:40]!a}, only {', '.join(FORMATS)} can be taken",
                path="format",
            )
        _frame_ms(message.optimal_frame_size, coding)
        variables = message.channel_variables
        return Announcement(
            receive=coding,
            send=coding,
            media_at="format",
            start=StartFrame(
                call_id=message.channel_id or message.channel,
                account_id=message.connection_id,
                parameters=variables if isinstance(variables, dict) else {},
            ),
        )

    def _started(self, message: object, document: JSONValue) -> Sequence[Frame]:
        frames = LineSerializer._started(self, message, document)
        assert isinstance(message, MediaStart)
        frame_ms = _frame_ms(message.optimal_frame_size, FORMATS[message.format])
        if frame_ms:
            self._frame_bytes = number(message.optimal_frame_size) or 0
            asked_ms = self.chunk_ms or frame_ms
            self.chunk_ms = -(-asked_ms // frame_ms) * frame_ms
        if self.answers:
            self._owed = self._command(AnswerChannel())
        return frames

    def replies(self) -> Sequence[Message]:
        """What Asterisk is owed since the last call."""
        owed, self._owed = self._owed, ()
        return owed

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in one message.

        What cannot be read raises ``RemoteProtocolError``; what is not known gives none.
        """
        if type(message) is bytes:
            return self._binary(message)
        assert isinstance(message, str)
        is_plain = message[:1].isupper()
        document = _plain_event(message) if is_plain else loads_of_any_depth(message)
        if self.start is None:
            self._is_plain = is_plain
        return self._read(document)

    def _news(self, message: object, document: JSONValue) -> Sequence[Frame]:
        match message:
            case DtmfEnd(digit=digit):
                return (key_pressed(digit, path="digit"),)
            case MarkProcessed(correlation_id=name):
                return (MarkFrame(mark=name),)
            case Xoff():
                self.is_paused = True
            case Xon():
                self.is_paused = False
            case Told():
                return (MessageFrame(message=document),)
        return ()

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The messages for one frame, in order; none where this dialect has no message for it."""
        messages = LineSerializer.encode(self, frame)
        if not isinstance(frame, AudioFrame):
            return messages
        coded = b"".join(message for message in messages if isinstance(message, bytes))
        size = self._frame_bytes
        if size and len(coded) % size:
            silence = self._out.encoder.encode(bytes(self._out.encoder.frame_bytes or 2))
            missing = size - len(coded) % size
            coded += (silence * (missing // len(silence) + 1))[:missing]
        step = MAX_MESSAGE_BYTES - MAX_MESSAGE_BYTES % (size or 2)
        return tuple(coded[at : at + step] for at in range(0, len(coded), step))

    def _command(self, command: object) -> Sequence[Message]:
        if not self._is_plain:
            return LineSerializer._command(self, command)
        assert self.line.outgoing is not None
        return self._plain(self.line.outgoing.unstructure(command))

    def _custom(self, message: JSONValue) -> Sequence[Message]:
        if not isinstance(message, dict) or not isinstance(message.get("command"), str):
            raise LocalProtocolError("Asterisk takes commands only: a MessageFrame must be an object with a command")
        return self._plain(message) if self._is_plain else (dumps(message, path="message"),)

    @staticmethod
    def _plain(command: dict[str, JSONValue]) -> Sequence[Message]:
        ordered = {"command": command["command"], **command}
        words = [str(value) for value in ordered.values()]
        if any(not word or not word.isprintable() or " " in word for word in words):
            raise LocalProtocolError(
                f"{command['command']!r} has a value that plain text cannot carry: no blanks in it"
            )
        return (" ".join(words),)


def _frame_ms(told: JSONValue, coding: Coding) -> int:
    """How long Asterisk's own frames are, 0 if it does not say; rule 2."""
    if told is None:
        return 0
    bytes_per_s = 2 * coding.rate if coding.encoding == L16 else TELEPHONE_RATE
    size = number(told) or 0
    if not 0 < size * 1000 <= MAX_FRAME_MS * bytes_per_s or size * 1000 % bytes_per_s:
        raise StartRefused(
            f"a frame of 1 to {MAX_FRAME_MS} whole milliseconds is wanted, not of {str(told)[:20]!a} bytes",
            path="optimal_frame_size",
        )
    return size * 1000 // bytes_per_s


def _plain_event(text: str) -> dict[str, JSONValue]:
    name, *pairs = text[:MAX_MESSAGE_BYTES].split()
    told: dict[str, JSONValue] = {}
    for pair in pairs:
        key, colon, value = pair.partition(":")
        if colon:
            told[key] = value
    return {**told, "event": name}
