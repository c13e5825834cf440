"""RTVI for a session: Pipecat's own clients walk in, and the bot's typed frames become what they listen for.

Rules
1. A client that writes RTVI in protobuf frames (browser, mobile) is answered so, with audio in audio frames; one that
   writes bare JSON text (Pipecat's Python client) is answered in text, with audio as ``bot-tts-audio``.
2. ``client-ready`` is answered with ``bot-ready`` under the same id, before anything else is sent: a client's
   ``connect`` waits for it. Clients of protocol 1.x hear their own version, others this one. A version that is neither
   gets an ``error-response`` first, as Pipecat gives it, and is served all the same.
3. A type that is not known, and a message that cannot be read, are answered with ``error-response``. A client's own
   ``error`` and ``error-response`` are not: two bots would answer each other for ever.
4. Browser clients play everything at one rate, 24 kHz unless they were told otherwise, whatever the message says. So
   the dialect carries that rate: ``player_sample_rate``.
5. A ``MessageFrame`` is a ``server-message``, or goes out as it is when it is labelled as RTVI already.
6. With ``levels_ms`` the loudness of both sides is told that often.

Which frames a client's messages become stands in ``from_client``; which messages a frame becomes, in ``telling``.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import ClassVar, Final, cast, final

from attrs import define, field, fields
from attrs.validators import and_, ge, instance_of, optional

from ..._documented import documented
from ...audio.format import AudioFormat
from ...errors import RemoteProtocolError
from ...frames import AudioFrame, Frame, JSONValue, MessageFrame, StartFrame
from ..codec import dumps, loads
from ..converters import mismatch
from ..protobuf import ProtobufFrameSerializer
from ..protocol import Message
from . import to_client as to
from .from_client import ClientReady, client_messages, frames_of
from .levels import Meter
from .telling import Telling
from .wire import id_of, is_rtvi

PROTOCOL_VERSION: Final = "2.2.0"
PLAYER_RATE: Final = 24_000
_CALLS_SINCE: Final = 2  # protocol 1.2: a call is started, in progress and stopped
_MAX_TYPE_CHARS: Final = 100
_MAX_ERROR_CHARS: Final = 300
_UNANSWERED: Final = frozenset({"error", "error-response"})

_protobuf: Final = ProtobufFrameSerializer()


@lru_cache(maxsize=1)
def _library() -> Mapping[str, JSONValue]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return {"library": "trio-transports", "library_version": version("trio-transports")}
    except PackageNotFoundError:  # the source tree, not installed
        return {"library": "trio-transports"}


@documented
@final
@define(eq=False, kw_only=True)
class RTVIFrameSerializer:
    """A bot's side of RTVI, for one client; ``about`` is what it tells of itself in ``bot-ready``."""

    names_destinations: ClassVar[bool] = False
    """Whether messages can name the output track that they are for: if not, a session has one track."""
    carries_pictures: ClassVar[bool] = False
    """It has no message for a picture."""

    player_sample_rate: int = field(default=PLAYER_RATE, validator=and_(instance_of(int), ge(8000)))
    """Samples per second, in Hz, of the audio that the client plays. Pipecat's clients take 24000 unless they are told
    otherwise; a wrong rate plays too fast or too slow."""
    about: Mapping[str, JSONValue] | None = None
    """What the bot tells of itself in ``bot-ready``, for clients that show it; None tells nothing."""
    levels_ms: int | None = field(default=None, validator=optional(and_(instance_of(int), ge(20))))
    """Tell the client how loud both sides are, each so many milliseconds, for a meter on its page. None tells nothing
    and costs nothing."""
    start: StartFrame | None = field(default=None, init=False)
    """What the client told of itself; None before ``client-ready``."""
    _in_text: bool = field(default=False, init=False)
    _owed: list[Message] = field(factory=list, init=False)
    _telling: Telling = field(factory=Telling, init=False)
    _user_meter: Meter | None = field(default=None, init=False)
    _bot_meter: Meter | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if self.levels_ms is not None:
            self._user_meter, self._bot_meter = Meter("user", self.levels_ms), Meter("bot", self.levels_ms)

    @property
    def audio_format(self) -> AudioFormat:
        """What the client plays."""
        return AudioFormat(self.player_sample_rate)

    @property
    def is_ready(self) -> bool:
        """Whether the client has said ``client-ready``: before, it throws away what it gets."""
        return self.start is not None

    @property
    def owes_for_audio(self) -> bool:
        """Whether it owes the client how loud the bot is."""
        return self._bot_meter is not None

    def fresh(self) -> "RTVIFrameSerializer":
        """One like it for another client."""
        settings = {a.name: getattr(self, a.name) for a in fields(RTVIFrameSerializer) if a.init}
        return RTVIFrameSerializer(**settings)

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The messages that have their place among the audio; what is news is owed (``replies``)."""
        if type(frame) is AudioFrame:
            return self._audio(frame)
        if isinstance(frame, MessageFrame) and is_rtvi(frame.message):
            return (self._framed(cast("dict[str, JSONValue]", frame.message)),)
        self._owe(*self._telling.news(frame))
        return tuple(self._framed(to.document_of(said)) for said in self._telling.placed(frame))

    def notice(self, frame: Frame) -> Sequence[Message]:
        """What the session noticed, for the client."""
        return tuple(self._framed(to.document_of(said)) for said in self._telling.noticed(frame))

    def replies(self) -> Sequence[Message]:
        """What the client is owed since the last call."""
        owed, self._owed = self._owed, []
        return owed

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in a message; what has to be answered by the dialect is owed."""
        if isinstance(message, str):
            value = loads(message)
            if not is_rtvi(value):
                raise RemoteProtocolError("an RTVI message is wanted: label must be rtvi-ai", path="label")
            self._in_text = True
            return self._read(cast("dict[str, JSONValue]", value))
        frames = _protobuf.decode(message)
        if len(frames) == 1:
            (frame,) = frames
            if type(frame) is MessageFrame and is_rtvi(frame.message):
                self._in_text = False
                return self._read(cast("dict[str, JSONValue]", frame.message))
            if self._user_meter is not None and type(frame) is AudioFrame:
                self._measure(self._user_meter, frame)
        return frames

    # Reading

    def _read(self, message: dict[str, JSONValue]) -> Sequence[Frame]:
        kind = message.get("type")
        try:
            asked_as = id_of(message)
        except RemoteProtocolError as exc:
            self._refuse("", str(exc))
            raise
        if type(kind) is str and kind in _UNANSWERED:
            return ()
        try:
            said = client_messages.structure(message)
            if isinstance(said, ClientReady):
                return self._greet(asked_as, said)
            if said is not None:
                return frames_of(said)
        except RemoteProtocolError as exc:
            self._refuse(asked_as, str(exc))
            raise
        self._refuse(asked_as, f"Unsupported type {str(kind)[:_MAX_TYPE_CHARS]}")
        return ()

    def _greet(self, asked_as: str, said: ClientReady) -> Sequence[Frame]:
        told = said.data if type(said.data) is dict else {}
        version = told.get("version")
        if version is not None and type(version) is not str:
            raise mismatch("a string", version, path="data.version")
        complaint, is_old = _judge(version)
        if complaint:
            self._refuse(asked_as, f"{complaint} Compatibility issues may occur.")
        self._telling.is_old = is_old
        self._telling.calls_as_before = is_old and version is not None and int(version.split(".")[1]) < _CALLS_SINCE
        spoken = version if is_old and version is not None else PROTOCOL_VERSION
        about = _library() if self.about is None else self.about
        self._owe(to.BotReady(id=asked_as, data=to.BotReadyData(version=spoken, about=about)))
        if self.start is not None:
            return ()
        self.start = StartFrame(parameters={"version": version, "about": told.get("about")})
        return (self.start,)

    # Writing

    def _audio(self, frame: AudioFrame) -> Sequence[Message]:
        if self._bot_meter is not None:
            self._measure(self._bot_meter, frame)
        if not self._in_text:
            return _protobuf.encode(frame)
        sound = to.SpokenAudio(audio=frame.audio, sample_rate=frame.sample_rate, num_channels=frame.num_channels)
        return (self._framed(to.document_of(to.BotTTSAudio(data=sound))),)

    def _measure(self, meter: Meter, frame: AudioFrame) -> None:
        for level in meter.hear(frame):
            self._owe(*self._telling.placed(level))

    def _refuse(self, asked_as: str, error: str) -> None:
        self._owe(to.ErrorResponse(id=asked_as, data=to.Reason(error=error[:_MAX_ERROR_CHARS])))

    def _owe(self, *said: to.BotSays) -> None:
        self._owed.extend(self._framed(to.document_of(each)) for each in said)

    def _framed(self, document: dict[str, JSONValue]) -> Message:
        if self._in_text:
            return dumps(document, path="message")
        return _protobuf.encode(MessageFrame(message=document))[0]


def _judge(version: str | None) -> tuple[str, bool]:
    """What is wrong with a client's version ("" for nothing), and whether it is an old one that is served."""
    if version is None:
        return "Client version unknown.", False
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        return f"Invalid client version format ({version[:_MAX_TYPE_CHARS]}).", False
    if parts[0] == "1":
        return "", True
    if parts[0] == PROTOCOL_VERSION.partition(".")[0]:
        return "", False
    return f"RTVI version {version} is not compatible with server protocol {PROTOCOL_VERSION}.", False
