"""What a serializer is: a synchronous translation between frames and WebSocket messages.

Rules
1. No I/O, no clock, no trio. Both methods return at once.
2. ``encode`` gives the messages for one frame, in order; an empty result means this dialect has no message for it.
3. ``decode`` gives the frames in one message. Bad input raises ``RemoteProtocolError`` and nothing else; an event
   that is not known gives no frames.
4. PCM is converted to and from ``audio_format`` by the session; a serializer does only its own byte encoding.
5. One that keeps something about its stream has ``fresh()``: every session works on a copy of its own.
6. One that has to answer its peer has ``replies()``: ``decode`` notes what is owed, the session sends it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, Self, TypeAlias, TypeVar, final, runtime_checkable

from attrs import fields

from .._offers import offers
from ..audio.format import AudioFormat
from ..errors import RemoteProtocolError
from ..frames import Frame, StartFrame
from .coded import CodedAudio

Message: TypeAlias = str | bytes
"""One WebSocket message: text or binary."""


@final
class StartRefused(RemoteProtocolError):
    """The peer announced a stream that this side cannot carry: nothing it sends can be used, so the session ends."""


class FrameSerializer(Protocol):
    """Any object with these three members is a serializer."""

    @property
    def audio_format(self) -> AudioFormat | None:
        """The one PCM format this dialect carries, or None when its messages state their own."""

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The messages for one frame, in order; none where this dialect has no message for it."""

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in one message.

        What cannot be read raises ``RemoteProtocolError``; what is not known gives none.
        """


@runtime_checkable
class AwaitsStart(Protocol):
    """A serializer that cannot address its peer until the peer has announced its stream."""

    @property
    def is_ready(self) -> bool:
        """Whether the peer has announced its stream, so that it can be addressed; audio waits until then."""


@runtime_checkable
class Fresh(Protocol):
    """Something configured once and used by many sessions, each on a copy of its own."""

    def fresh(self) -> object:
        """One with the same settings for another call."""


@runtime_checkable
class FixedChunk(Protocol):
    """A dialect whose peers expect audio messages of one duration; a session uses it unless told otherwise."""

    @property
    def chunk_ms(self) -> int | None:
        """How many milliseconds of audio one message carries; None leaves that to the session's parameters."""


@runtime_checkable
class HoldsBack(Protocol):
    """A dialect whose code gives the end of some audio out only with what follows it."""

    @property
    def held_ms(self) -> float:
        """So many milliseconds; a session has silence follow where an utterance ends."""


@runtime_checkable
class Replies(Protocol):
    """A dialect that owes its peer answers: a pong for each ping, ``bot-ready`` for ``client-ready``.

    A session asks after every message that it has decoded, once before the first, and after every frame but audio that
    it has encoded: a dialect can say one part of a frame at once, and return what has its place among the audio. After
    audio it asks one that ``OwesForAudio``. What it gets
    is written in this order and ahead of all that is queued; no interruption drops it. While ``REPLY_LIMIT`` answers
    are unwritten, the session reads no further, so a peer that asks and does not read waits for itself. Decoding one
    message must not owe more than a few: that bound is the dialect's.
    """

    def replies(self) -> Sequence[Message]:
        """Give what the peer is owed since the last call, oldest first; given once, it is owed no longer."""


@runtime_checkable
class Notices(Protocol):
    """A dialect whose peer is told what the session itself notices: that somebody began or stopped to speak."""

    def notice(self, frame: Frame) -> Sequence[Message]:
        """The messages for one such frame: they leave at once, as replies do, or after the last of the bot's speech."""


@runtime_checkable
class PlaybackMarks(Protocol):
    """A dialect whose peer sends a ``MarkFrame`` back once it has played the audio in front of it."""

    @property
    def has_marks(self) -> bool:
        """Whether the peer tells when a mark was played. Without, what was heard is reckoned by the clock."""


@runtime_checkable
class KeepsCoded(Protocol):
    """A dialect whose code remembers what came before, and whose packets need not come in order.

    A session that puts them in order asks for them before they are decoded: what was lost is made up by the decoder
    then, where it was lost.
    """

    def keep_coded(self) -> None:
        """Decode such audio no more: ``decode`` gives no frame for it, and ``coded`` the packets."""

    def coded(self) -> Sequence[CodedAudio]:
        """Give the packets since the last call."""


@runtime_checkable
class Pausable(Protocol):
    """A dialect whose peer may ask for a pause in the audio; the session's clock stands still as long as it lasts."""

    @property
    def is_paused(self) -> bool:
        """Whether the peer has asked for no audio for now."""


@runtime_checkable
class KnowsConnection(Protocol):
    """A dialect that knows something of the connection itself: its stream's name and code, a pause, numbers."""

    def reconnected(self) -> None:
        """Forget that: the connection was lost, and the peer begins anew on another. Settings stay."""


def start_anew(serializer: Any, unused: object) -> None:  # noqa: ANN401 - of any attrs class
    """Have an attrs object know what one that nobody has used knows: a way to write ``reconnected``."""
    for known in fields(type(serializer)):
        setattr(serializer, known.name, getattr(unused, known.name))


@runtime_checkable
class AwaitsClose(Protocol):
    """A dialect whose word for the end is answered by the peer's own.

    While ``awaits_close`` holds the session leaves the connection open, ``close_timeout`` at most.
    """

    @property
    def awaits_close(self) -> bool:
        """Whether the peer's answer to the end is still to come."""


@runtime_checkable
class Numbers(Protocol):
    """A dialect whose messages are numbered in the order in which they are written, which is known only then.

    While ``numbers`` holds, every text message passes ``numbered`` as the last thing before it is written.
    """

    @property
    def numbers(self) -> bool:
        """Whether messages are to be numbered now."""

    def numbered(self, message: Message) -> Message:
        """The message with its number in it."""


@runtime_checkable
class NamesDestinations(Protocol):
    """A dialect that says whether its messages name the output that they are for; one that says nothing is trusted to.

    Where they do not, a session with more than the one output is refused: its peer would hear all of them in one.
    """

    @property
    def names_destinations(self) -> bool:
        """Whether messages can name the output track that they are for: if not, a session has one track."""


@runtime_checkable
class CarriesPictures(Protocol):
    """A dialect that says whether it has messages for pictures; one that says nothing is asked picture by picture.

    Where it has none, a session prepares none and sends none, and tells that once.
    """

    @property
    def carries_pictures(self) -> bool:
        """Whether an ``ImageFrame`` becomes a message."""


@runtime_checkable
class WritesAnywhere(Protocol):
    """A dialect that keeps nothing between two frames: ``encode`` may run in a worker thread beside itself.

    A session has large pictures written there.
    """

    @property
    def writes_anywhere(self) -> bool:
        """Whether that is so."""


def writes_anywhere(serializer: object) -> bool:
    """Whether a worker thread may write this dialect."""
    return offers(serializer, WritesAnywhere) and serializer.writes_anywhere


def carries_pictures(serializer: object) -> bool:
    """Whether there is a point in making pictures for this dialect."""
    return not offers(serializer, CarriesPictures) or serializer.carries_pictures


@runtime_checkable
class StandsForAnother(Protocol):
    """A serializer that speaks for another, which is known only once the peer has begun."""

    @property
    def dialect(self) -> str:
        """The name of the serializer that the peer turned out to need; its own until that is known."""


def dialect_of(serializer: object) -> str:
    """What to call a peer's dialect in a log or an event."""
    return serializer.dialect if offers(serializer, StandsForAnother) else type(serializer).__name__


@runtime_checkable
class TakesBitrate(Protocol):
    """A dialect that may compress its audio: a session tells it how strongly, once, before anything is encoded."""

    def use_bitrate(self, bits_per_second: int) -> None:
        """Compress to about so many bits per second; ValueError for what the code cannot."""


def use_bitrate(serializer: object, where: str, bits_per_second: int) -> None:
    """Hand ``audio_out_bitrate`` over, where there is a use for it; ValueError names it when the code cannot."""
    if offers(serializer, TakesBitrate):
        try:
            serializer.use_bitrate(bits_per_second)
        except ValueError as exc:
            raise ValueError(f"{where}.audio_out_bitrate: {exc}") from None


def check_bitrate(source: object, where: str, bits_per_second: int) -> None:
    """Raise what ``use_bitrate`` would, as far as it can be known before there is a session."""
    if offers(source, Fresh) and not isinstance(source, type):
        use_bitrate(source.fresh(), where, bits_per_second)


def check_destinations(serializer: object, where: str, **destinations: tuple[str, ...]) -> None:
    """Raise ValueError for parameters that name destinations to a dialect that cannot."""
    for name, given in destinations.items():
        if given and getattr(serializer, "names_destinations", True) is False:
            kind = serializer if isinstance(serializer, type) else type(serializer)
            raise ValueError(
                f"{where}.{name} has {', '.join(map(repr, given))}, but {kind.__name__} cannot name destinations in "
                "its messages: the peer would hear them all as one. Leave it empty, or use another serializer"
            )


@runtime_checkable
class KnowsStart(Protocol):
    """A dialect whose peer announces its stream, and that remembers how."""

    @property
    def start(self) -> StartFrame | None:
        """What the peer's start message said; None until it came."""


class CallSerializer(Protocol):
    """What every telephone dialect offers a session, beyond being a ``FrameSerializer``."""

    @property
    def audio_format(self) -> AudioFormat | None:
        """The PCM that this dialect carries; the session converts to it and from it."""

    @property
    def is_ready(self) -> bool:
        """Whether the peer has announced its stream, so that it can be addressed; audio waits until then."""

    @property
    def has_marks(self) -> bool:
        """Whether the peer tells when a mark was played. Without, what was heard is reckoned by the clock."""

    @property
    def chunk_ms(self) -> int | None:
        """How many milliseconds of audio one message carries; None leaves that to the session's parameters."""

    @property
    def start(self) -> StartFrame | None:
        """What the peer's start message said; None until it came."""

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The messages for one frame, in order; none where this dialect has no message for it."""

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in one message.

        What cannot be read raises ``RemoteProtocolError``; what is not known gives none.
        """

    def fresh(self) -> Self:
        """One with the same settings for another call."""


@runtime_checkable
class OwesForAudio(Replies, Protocol):
    """A dialect that owes its peer something for audio that it has encoded, such as its level."""

    @property
    def owes_for_audio(self) -> bool:
        """Whether it does, as it is set up: a session asks it after each chunk then."""


@runtime_checkable
class StatesMessageSize(Protocol):
    """A dialect that knows how long its peers' messages are at most; ``max_message_bytes`` is that unless set."""

    @property
    def max_message_bytes(self) -> int:
        """The longest message, in bytes, that such a peer sends: what ``max_message_bytes`` is unless you set it."""


DEFAULT_MESSAGE_BYTES: Final = 1024 * 1024
"""For a dialect that carries documents and pictures of any size."""

T = TypeVar("T")


def message_bytes_needed(source: object) -> int:
    """How long a message the dialect needs: as it states itself, or as an object of this class does."""
    if not offers(source, StatesMessageSize):
        return DEFAULT_MESSAGE_BYTES
    return source().max_message_bytes if isinstance(source, type) else source.max_message_bytes


def per_session(source: T | Callable[[], T]) -> T:
    """Make what one session uses: call a class or factory, take ``fresh()`` of an object that has it, else share it."""
    if isinstance(source, type):
        return source()  # type: ignore[no-any-return]
    if offers(source, Fresh):
        return source.fresh()  # type: ignore[return-value]
    if callable(source):
        return source()
    return source


def replies_of(serializer: object) -> Sequence[Message]:
    """What a serializer owes its peer, if it is one that ever owes: for a serializer composed of others."""
    return serializer.replies() if offers(serializer, Replies) else ()
