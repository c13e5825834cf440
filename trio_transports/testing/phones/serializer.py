"""The caller's half of a telephone dialect, for a session that calls a bot as a provider does."""

from collections.abc import Sequence
from typing import final

from attrs import define, field

from ..._documented import documented
from ...audio.format import AudioFormat
from ...errors import RemoteProtocolError
from ...frames import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    MarkFrame,
    MessageFrame,
    TextFrame,
)
from ...serializers.protocol import Message
from .line import PhoneLine
from .orders import ClearOrder, EndOrder, MarkOrder, OtherOrder, PlayOrder, TextOrder


@documented
@final
@define(eq=False)
class CallerSerializer:
    """What the bot plays comes as ``AudioFrame``, its clear as ``InterruptionFrame``, a mark to tell as ``MarkFrame``.

    A ``MarkFrame`` sent tells that it was played, a ``DTMFFrame`` presses a key, a ``TextFrame`` is what the caller
    says on a line that carries text, an ``EndFrame`` ends the call. What the provider says first is owed from the
    beginning; where it waits for an answer, audio waits too.
    """

    line: PhoneLine
    """Whose messages are spoken."""
    _owed: Sequence[Message] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._owed = self.line.opening()

    def fresh(self) -> "CallerSerializer":
        """One for another call."""
        return CallerSerializer(self.line.fresh())

    @property
    def is_ready(self) -> bool:
        """Whether the caller may speak by now."""
        return self.line.is_answered

    @property
    def audio_format(self) -> AudioFormat:
        """The PCM that the caller speaks and hears."""
        return AudioFormat(self.line.rate)

    def replies(self) -> Sequence[Message]:
        """What is owed: at first, what the provider says first."""
        owed, self._owed = self._owed, ()
        return owed

    def encode(self, frame: Frame) -> Sequence[Message]:
        """What the caller's provider would send for this frame."""
        message: Message | None = None
        match frame:
            case AudioFrame():
                message = self.line.voice(frame.audio)
            case DTMFFrame():
                message = self.line.key(frame.digit)
            case MarkFrame():
                message = self.line.played(frame.mark)
            case TextFrame():
                message = self.line.words(frame.text)
            case EndFrame():
                message = self.line.stop()
        return () if message is None else (message,)

    def decode(self, message: Message) -> Sequence[Frame]:
        """What the bot's message means: what the provider ignores is an error here."""
        try:
            order = self.line.understand(message)
        except AssertionError as exc:
            raise RemoteProtocolError(str(exc)) from exc
        match order:
            case PlayOrder(pcm=pcm, sample_rate=rate):
                return (AudioFrame(audio=pcm, sample_rate=rate),)
            case MarkOrder(name=name):
                return (MarkFrame(mark=name),)
            case ClearOrder():
                return (InterruptionFrame(),)
            case TextOrder(text=text, is_last=is_last):
                words: tuple[Frame, ...] = (TextFrame(text=text),) if text else ()
                return (*words, BotStoppedSpeakingFrame()) if is_last else words
            case EndOrder(reason=reason):
                last = self.line.stop()
                self._owed = (*self._owed, *(() if last is None else (last,)))
                return (EndFrame(reason=reason),)
            case OtherOrder(frame=frame):
                shown = message if isinstance(message, str) else f"{len(message)} bytes"
                return (frame or MessageFrame(message=shown),)
