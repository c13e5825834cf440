"""One endpoint for every caller, telephone lines and others: the first messages say which dialect is spoken.

Rules
1. Start messages differ: those of telephone lines as ``lines/detection.py`` says.
   A binary message that is ``[1, {...}]`` in MessagePack is a packed frame, one that is a protobuf frame is Pipecat's.
   RTVI clients are told by their label, in text or in a protobuf message; text that names a frame of the JSON dialect
   is that.
2. ``connected`` is said by several and decides nothing. Anything else before a start message is refused.
3. The dialect is settled once its serializer has understood the start message; all else is that serializer's.
4. What a dialect owes a caller is given to it, also when its start message was refused.
5. A caller that is not known after ``MAX_MESSAGES`` messages is refused from then on, whatever it says.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final, TypeAlias, final

from attrs import define, field

from .._documented import documented
from .._offers import offers
from ..audio.format import AudioFormat
from ..errors import RemoteProtocolError
from ..frames import AudioFrame, Frame, JSONValue, MarkFrame, MessageFrame, StartFrame
from .codec import WHOLE, loads
from .coded import CodedAudio
from .json import FRAME_TYPES, JSONFrameSerializer
from .lines.audio_out import not_started
from .lines.detection import LINES, line_of, line_of_text
from .protocol import (
    AwaitsClose,
    AwaitsStart,
    FixedChunk,
    FrameSerializer,
    HoldsBack,
    KeepsCoded,
    KnowsConnection,
    KnowsStart,
    Message,
    Notices,
    Numbers,
    OwesForAudio,
    Pausable,
    PlaybackMarks,
    TakesBitrate,
    carries_pictures,
    message_bytes_needed,
    per_session,
    replies_of,
    writes_anywhere,
)

__all__ = ["DetectingFrameSerializer"]

MAX_MESSAGES: Final = 10

CallSource: TypeAlias = FrameSerializer | Callable[[], FrameSerializer]

_TELEPHONE: Final = AudioFormat(8000)
_PACKET_MS: Final = 20
_PACKED: Final = b"\x92\x01"


def _rtvi() -> FrameSerializer:
    from .rtvi import RTVIFrameSerializer

    return RTVIFrameSerializer()


def _protobuf() -> FrameSerializer:
    from .protobuf import ProtobufFrameSerializer

    return ProtobufFrameSerializer()


def _packed() -> FrameSerializer:
    from .packed import PackedFrameSerializer

    return PackedFrameSerializer()


PROVIDERS: Final[Mapping[str, CallSource]] = {
    **LINES,
    "rtvi": _rtvi,
    "protobuf": _protobuf,
    "packed": _packed,
    "json": JSONFrameSerializer,
}
"""The dialects that are told apart. Those that need an extra are imported when such a caller comes."""


def provider_of(message: JSONValue) -> str | None:
    """The provider whose start message this is; None when it is nobody's."""
    if not isinstance(message, dict):
        return None
    if message.get("label") == "rtvi-ai":
        return "rtvi"
    kind = message.get("type")
    if "event" not in message and type(kind) is str and kind in FRAME_TYPES:
        return "json"
    return line_of(message)


def binary_dialect_of(message: bytes) -> str | None:
    """The dialect whose binary message this is; None when it is nobody's."""
    if message.startswith(_PACKED):
        return "packed"
    if message[:1] in (b"{", b" "):
        return provider_of(loads(message))
    try:
        frames = _protobuf().decode(message)
    except (RemoteProtocolError, ImportError):
        # A line feed begins a protobuf text too: it is its field's number.
        return provider_of(loads(message)) if message[:1] == b"\n" else None
    if len(frames) != 1:
        return None
    told = frames[0]
    if not isinstance(told, MessageFrame):
        return "protobuf"
    return provider_of(told.message) if isinstance(told.message, dict) and "label" in told.message else "protobuf"


def _known(_instance: object, _attribute: object, providers: Mapping[str, object]) -> None:
    unknown = sorted(set(providers) - set(PROVIDERS))
    if unknown or not providers:
        what = f"not {', '.join(unknown)}" if unknown else "and at least one"
        raise ValueError(f"DetectingFrameSerializer.providers takes {', '.join(PROVIDERS)}, {what}")


@documented
@final
@define(eq=False, kw_only=True)
class DetectingFrameSerializer:
    """A serializer for callers of any provider.

    ``providers`` has the serializer of each one that is welcome: a class, a factory, or an object with the settings.
    """

    names_destinations: ClassVar[bool] = False
    """Whether messages can name the output track that they are for: if not, a session has one track."""

    providers: Mapping[str, CallSource] = field(factory=lambda: dict(PROVIDERS), validator=_known)
    """The serializer of each caller that is welcome, by its name in ``PROVIDERS``: a class, a factory, or an object
    with the settings. Others are refused."""
    provider: str | None = field(default=None, init=False)
    """Who is calling; None until the start message."""
    _found: FrameSerializer | None = field(default=None, init=False)
    _bitrate: int | None = field(default=None, init=False)
    _keeps_coded: bool = field(default=False, init=False)
    _undecided: int = field(default=0, init=False)
    _owed: Sequence[Message] = field(default=(), init=False)
    """By a dialect that refused the start message."""

    @property
    def audio_format(self) -> AudioFormat | None:
        """That of the dialect that was found; a telephone's until then."""
        return self._found.audio_format if self._found is not None else _TELEPHONE

    @property
    def is_ready(self) -> bool:
        """Whether the peer has announced its stream, so that it can be addressed; audio waits until then."""
        found = self._found
        return found is not None and (not isinstance(found, AwaitsStart) or found.is_ready)

    @property
    def dialect(self) -> str:
        """The name of the caller's own serializer, once that is known."""
        return type(self if self._found is None else self._found).__name__

    @property
    def carries_pictures(self) -> bool:
        """Whether the caller's own dialect does."""
        return carries_pictures(self._found)

    @property
    def writes_anywhere(self) -> bool:
        """Whether the caller's own dialect does."""
        return writes_anywhere(self._found)

    @property
    def has_marks(self) -> bool:
        """Whether the peer tells when a mark was played. Without, what was heard is reckoned by the clock."""
        found = self._found
        return found is None or (isinstance(found, PlaybackMarks) and found.has_marks)

    @property
    def chunk_ms(self) -> int | None:
        """How many milliseconds of audio one message carries, as the dialect that was found says."""
        found = self._found
        if found is None:
            return _PACKET_MS
        return found.chunk_ms if isinstance(found, FixedChunk) else None

    @property
    def held_ms(self) -> float:
        """How many milliseconds of the last audio come out only with what follows it, in the dialect that was found."""
        return self._found.held_ms if isinstance(self._found, HoldsBack) else 0.0

    @property
    def start(self) -> StartFrame | None:
        """What the peer's start message said; None until it came."""
        found = self._found
        return found.start if isinstance(found, KnowsStart) else None

    @property
    def max_message_bytes(self) -> int:
        """The longest message, in bytes, that any of the welcome dialects needs."""
        return max(map(message_bytes_needed, self.providers.values()))

    def fresh(self) -> "DetectingFrameSerializer":
        """One for the same callers, that knows nobody yet."""
        return DetectingFrameSerializer(providers=self.providers)

    def use_bitrate(self, bits_per_second: int) -> None:
        """Keep it for the caller's own dialect, once that is known."""
        self._bitrate = bits_per_second

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The messages for one frame in the caller's dialect. Audio before it is known is an error."""
        if self._found is not None:
            return self._found.encode(frame)
        if isinstance(frame, AudioFrame | MarkFrame | MessageFrame):
            raise not_started(type(frame).__name__)
        return ()

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in one message; the first ones tell which dialect it is."""
        if self._found is not None:
            return self._found.decode(message)
        self._undecided += 1
        if self._undecided > MAX_MESSAGES:
            raise RemoteProtocolError(f"no known provider's start in the first {MAX_MESSAGES} messages", path=WHOLE)
        if isinstance(message, bytes):
            provider = binary_dialect_of(message)
        elif (provider := line_of_text(message)) is None:
            value = loads(message)
            if isinstance(value, dict) and value.get("event") == "connected":
                return ()
            provider = provider_of(value)
        if provider is None:
            raise RemoteProtocolError("a start message of a known provider is wanted", path=WHOLE)
        if provider not in self.providers:
            raise RemoteProtocolError(f"callers of {provider} are not taken here", path=WHOLE)
        candidate = per_session(self.providers[provider])
        if self._bitrate is not None and isinstance(candidate, TakesBitrate):
            candidate.use_bitrate(self._bitrate)
        if self._keeps_coded and isinstance(candidate, KeepsCoded):
            candidate.keep_coded()
        try:
            frames = candidate.decode(message)
        except RemoteProtocolError:
            self._owed = (*self._owed, *replies_of(candidate))
            raise
        self._found, self.provider = candidate, provider
        return frames

    def keep_coded(self) -> None:
        """Keep audio coded that the caller's dialect would decode at once."""
        self._keeps_coded = True

    def coded(self) -> Sequence[CodedAudio]:
        """Give the caller's packets since the last call."""
        return self._found.coded() if offers(self._found, KeepsCoded) else ()

    @property
    def is_paused(self) -> bool:
        """Whether the peer has asked for no audio for now."""
        found = self._found
        return found.is_paused if offers(found, Pausable) else False

    def reconnected(self) -> None:
        """Forget what the caller's dialect knew of a connection that is lost."""
        found: object = self._found
        if isinstance(found, KnowsConnection):
            found.reconnected()

    @property
    def awaits_close(self) -> bool:
        """Whether the peer's answer to the end is still to come."""
        found = self._found
        return found.awaits_close if isinstance(found, AwaitsClose) else False

    @property
    def numbers(self) -> bool:
        """Whether messages are to be numbered now."""
        found = self._found
        return found.numbers if offers(found, Numbers) else False

    def numbered(self, message: Message) -> Message:
        """The message with its number in it."""
        return self._found.numbered(message) if offers(self._found, Numbers) else message

    def notice(self, frame: Frame) -> Sequence[Message]:
        """What the session noticed, in the caller's dialect."""
        return self._found.notice(frame) if offers(self._found, Notices) else ()

    @property
    def owes_for_audio(self) -> bool:
        """Whether the caller's dialect owes it something for audio."""
        found = self._found
        return found.owes_for_audio if offers(found, OwesForAudio) else False

    def replies(self) -> Sequence[Message]:
        """What the caller is owed since the last call."""
        owed, self._owed = self._owed, ()
        return (*owed, *replies_of(self._found)) if owed else replies_of(self._found)
