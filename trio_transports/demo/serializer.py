"""What a browser speaks most easily: audio as bare PCM in binary messages, everything else as JSON frames in text.

It is also an example of a serializer of one's own: any object with these three members is one.
"""

from collections.abc import Sequence
from typing import Final, final

from attrs import field, frozen

from ..audio.format import AudioFormat
from ..errors import RemoteProtocolError
from ..frames import AudioFrame, Frame
from ..serializers.json import JSONFrameSerializer
from ..serializers.protocol import Message

_json: Final = JSONFrameSerializer()


@final
@frozen
class PCMFrameSerializer:
    """Both sides know the format beforehand: a binary message holds nothing but samples."""

    audio_format: AudioFormat = field(factory=lambda: AudioFormat(16000))

    def encode(self, frame: Frame) -> Sequence[Message]:
        return (frame.audio,) if isinstance(frame, AudioFrame) else _json.encode(frame)

    def decode(self, message: Message) -> Sequence[Frame]:
        if isinstance(message, str):
            return _json.decode(message)
        rate, channels = self.audio_format.sample_rate, self.audio_format.num_channels
        try:
            return (AudioFrame(audio=message, sample_rate=rate, num_channels=channels),)
        except ValueError as exc:
            raise RemoteProtocolError(str(exc)) from exc
