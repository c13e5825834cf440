"""A caller of every dialect that is told apart: the peer's half of it, as a serializer of the near end's session."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, final

from attrs import define, field

from tests.serializers.dialects import RTVI
from trio_transports import AudioFrame
from trio_transports.audio.format import AudioFormat
from trio_transports.frames import Frame
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer, Message
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.testing.phones import LINES, CallerSerializer, line_named

TEXT_ONLY: Final = frozenset({"relay"})
"""Dialects that carry no audio: their words are written."""


@final
@define(eq=False)
class RTVICaller:
    """One of Pipecat's own clients: it says that it is ready, and then speaks in frames of protobuf."""

    _frames: ProtobufFrameSerializer = field(factory=ProtobufFrameSerializer, init=False)
    _owed: Sequence[Message] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._owed = (bytes.fromhex(RTVI["client-ready"]["protobuf"]),)

    def fresh(self) -> "RTVICaller":
        return RTVICaller()

    @property
    def audio_format(self) -> AudioFormat | None:
        return None

    def replies(self) -> Sequence[Message]:
        owed, self._owed = self._owed, ()
        return owed

    def encode(self, frame: Frame) -> Sequence[Message]:
        return self._frames.encode(frame) if isinstance(frame, AudioFrame) else ()

    def decode(self, message: Message) -> Sequence[Frame]:
        return self._frames.decode(message)


def telephone(name: str) -> FrameSerializer:
    return CallerSerializer(line_named(name))


CALLERS: Final[Mapping[str, Callable[[], FrameSerializer]]] = {
    **{name: partial(telephone, name) for name in LINES if name != "browser"},
    "rtvi": RTVICaller,
    "protobuf": ProtobufFrameSerializer,
    "packed": PackedFrameSerializer,
    "json": JSONFrameSerializer,
}
