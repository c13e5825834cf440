"""What the page's client speaks: audio as bare PCM in binary messages, everything else as JSON frames in text.

Rules
1. Both sides know the PCM's format beforehand: a binary message holds nothing but samples.
2. ``{"type": "ping", "t": a number}`` is answered at once with ``{"type": "pong", "t": the same}`` and what
   ``information`` tells of the session, whatever the handler does. So the client knows a live server from a stalled
   one, and what the way there and back takes.
3. The client is told who speaks as the session notices it, in the JSON dialect's own frames.
4. With ``marks`` the client says when it has played what was in front of a ``MarkFrame``.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias, final

from attrs import define, field

from ..audio.format import AudioFormat
from ..errors import RemoteProtocolError
from ..frames import (
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    JSONValue,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from ..serializers.codec import dumps, loads
from ..serializers.json import JSONFrameSerializer
from ..serializers.protocol import Message

Mood: TypeAlias = Literal["listening", "hearing", "answering"]

_json: Final = JSONFrameSerializer()
_MAX_PING_CHARS: Final = 100


@final
@define(eq=False)
class PCMFrameSerializer:
    """For one caller; ``audio_format`` is what both sides send."""

    audio_format: AudioFormat = field(factory=lambda: AudioFormat(16000))
    has_marks: bool = False
    information: Callable[[], JSONValue] | None = field(default=None, init=False)
    """Asked for each pong; set by whoever has the session."""
    _owed: list[Message] = field(factory=list, init=False)
    _user_speaks: bool = field(default=False, init=False)
    _bot_speaks: bool = field(default=False, init=False)

    @property
    def mood(self) -> Mood:
        """What goes on, for a list of sessions."""
        return "hearing" if self._user_speaks else "answering" if self._bot_speaks else "listening"

    def fresh(self) -> "PCMFrameSerializer":
        """One like it for another caller."""
        return PCMFrameSerializer(self.audio_format, self.has_marks)

    def encode(self, frame: Frame) -> Sequence[Message]:
        """Bare PCM, or one JSON frame."""
        return (frame.audio,) if isinstance(frame, AudioFrame) else _json.encode(frame)

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in a message; a ping has none, and is answered."""
        if isinstance(message, str):
            if len(message) <= _MAX_PING_CHARS and '"ping"' in message:
                value = loads(message)
                if isinstance(value, dict) and value.get("type") == "ping":
                    self._pong(value.get("t"))
                    return ()
            return _json.decode(message)
        rate, channels = self.audio_format.sample_rate, self.audio_format.num_channels
        try:
            return (AudioFrame(audio=message, sample_rate=rate, num_channels=channels),)
        except ValueError as exc:
            raise RemoteProtocolError(str(exc)) from exc

    def notice(self, frame: Frame) -> Sequence[Message]:
        """Who speaks, in the session's own words."""
        match frame:
            case UserStartedSpeakingFrame() | UserStoppedSpeakingFrame():
                self._user_speaks = isinstance(frame, UserStartedSpeakingFrame)
            case BotStartedSpeakingFrame() | BotStoppedSpeakingFrame():
                self._bot_speaks = isinstance(frame, BotStartedSpeakingFrame)
            case _:
                return ()
        return _json.encode(frame)

    def replies(self) -> Sequence[Message]:
        """The pongs that are owed."""
        owed, self._owed = self._owed, []
        return owed

    def _pong(self, t: JSONValue) -> None:
        if type(t) is not int and type(t) is not float:
            raise RemoteProtocolError("a number is wanted", path="t")
        pong: dict[str, JSONValue] = {"type": "pong", "t": t}
        if self.information is not None:
            pong["session"] = self.information()
        self._owed.append(dumps(pong))
