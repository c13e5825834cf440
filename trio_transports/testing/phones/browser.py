"""A scripted web page of one's own: frames as JSON, at 16 kHz. It tells no marks, as pages do not."""

from typing import final

from attrs import frozen

from ...frames import AudioFrame, DTMFFrame, EndFrame, Frame, InterruptionFrame, MarkFrame, TextFrame
from ...serializers.json import JSONFrameSerializer
from ...serializers.protocol import Message
from .orders import ClearOrder, EndOrder, MarkOrder, Order, OtherOrder, PlayOrder


@final
@frozen(kw_only=True)
class BrowserPage:
    """What a page says first is nothing, and its end is the socket's."""

    name: str = "browser"
    rate: int = 16000
    call_id: None = None
    is_answered: bool = True

    def fresh(self) -> "BrowserPage":
        return self

    def opening(self) -> tuple[Message, ...]:
        return ()

    def voice(self, pcm: bytes) -> Message:
        return self._said(AudioFrame(audio=pcm, sample_rate=self.rate))

    def words(self, text: str) -> Message:
        return self._said(TextFrame(text=text))

    def key(self, digit: str) -> Message:
        return self._said(DTMFFrame(digit=digit))

    def played(self, mark: str) -> None:
        return None

    def stop(self) -> None:
        return None

    def understand(self, message: Message) -> Order:
        for frame in JSONFrameSerializer().decode(message):
            match frame:
                case AudioFrame():
                    return PlayOrder(frame.audio, frame.sample_rate, len(frame.audio))
                case MarkFrame():
                    return MarkOrder(frame.mark)
                case InterruptionFrame():
                    return ClearOrder()
                case EndFrame():
                    return EndOrder(frame.reason)
            return OtherOrder(message, frame)
        return OtherOrder(message)

    @staticmethod
    def _said(frame: Frame) -> Message:
        return JSONFrameSerializer().encode(frame)[0]
