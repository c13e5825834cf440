"""The caller's side of the page's dialect: pings and pongs as messages of the application's own."""

from collections.abc import Sequence
from typing import final

from attrs import define

from ..audio.format import AudioFormat
from ..frames import Frame, MessageFrame
from ..playground.dialect import PCMFrameSerializer
from ..serializers.codec import dumps, loads
from ..serializers.protocol import Message


@final
@define(eq=False)
class PingingSerializer:
    """``{"type": "ping"}`` goes out as the dialect's own ping, and its pong comes back as a message."""

    _dialect: PCMFrameSerializer

    @property
    def audio_format(self) -> AudioFormat:
        return self._dialect.audio_format

    def fresh(self) -> "PingingSerializer":
        return PingingSerializer(self._dialect.fresh())

    def encode(self, frame: Frame) -> Sequence[Message]:
        match frame:
            case MessageFrame(message={"type": "ping"} as ping):
                return (dumps(ping),)
            case _:
                return self._dialect.encode(frame)

    def decode(self, message: Message) -> Sequence[Frame]:
        if isinstance(message, str) and message.startswith('{"type":"pong"'):
            return (MessageFrame(message=loads(message)),)
        return self._dialect.decode(message)
