"""Every serializer, with what the contract test needs to know of it."""

from collections.abc import Callable

from attrs import field, frozen
from hypothesis import strategies as st

from tests.serializers import strategies
from trio_transports import frames as f
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer, Message
from trio_transports.serializers.protobuf import ProtobufFrameSerializer


@frozen(kw_only=True)
class Dialect:
    """``make`` gives a serializer that is ready; ``frames`` are those that survive being written and read.

    ``returned`` is the peer: it turns what was sent into the message with which the same frame would come in.
    """

    name: str
    make: Callable[[], FrameSerializer]
    frames: st.SearchStrategy[f.Frame]
    samples: list[Message] = field()
    returned: Callable[[Message], Message] = field(default=lambda message: message)

    @property
    def json_samples(self) -> list[str]:
        return [sample for sample in self.samples if isinstance(sample, str)]


def _encoded(serializer: FrameSerializer, *frames: f.Frame) -> list[Message]:
    return [message for frame in frames for message in serializer.encode(frame)]


IMAGE = f.ImageFrame(image=b"pixels", size=(2, 1))
FRAMES: tuple[f.Frame, ...] = (
    f.AudioFrame(audio=b"\1\2\3\4", sample_rate=16000, num_channels=1),
    f.AudioFrame(audio=b"\1\2\3\4", sample_rate=48000, num_channels=2, pts=5, id=300, name="a#1"),
    f.TextFrame(text="text", id=1, name="n"),
    f.TranscriptionFrame(text="said", user_id="u", timestamp="2026-01-01"),
    f.MessageFrame(message={"label": "rtvi-ai", "data": {"x": [1, None, 2.5]}}),
    f.InterruptionFrame(id=3),
    f.SpriteFrame(images=(IMAGE, IMAGE)),
    f.StartFrame(stream_id="s", audio_in_sample_rate=8000, parameters={"a": {"b": [1]}}),
    f.DTMFFrame(digit="#"),
    f.EndFrame(reason="done"),
    f.MarkFrame(mark="m"),
    f.UserStartedSpeakingFrame(at_s=1.5),
)

protobuf_frames: st.SearchStrategy[f.Frame] = st.one_of(
    strategies.audio_frames().map(
        lambda frame: f.AudioFrame(
            audio=frame.audio,
            sample_rate=frame.sample_rate,
            num_channels=frame.num_channels,
            pts=frame.pts,
            id=frame.id,
            name=frame.name,
        )
    ),
    strategies.text_frames,
    strategies.transcriptions,
    strategies.json_values.map(lambda value: f.MessageFrame(message=value)),
    strategies.interruptions,
)

DIALECTS = [
    Dialect(
        name="json",
        make=JSONFrameSerializer,
        frames=strategies.wire_frames,
        samples=_encoded(JSONFrameSerializer(), *FRAMES),
    ),
    Dialect(
        name="json-binary",
        make=lambda: JSONFrameSerializer(binary=True),
        frames=strategies.wire_frames,
        samples=_encoded(JSONFrameSerializer(binary=True), *FRAMES),
    ),
    Dialect(
        name="protobuf",
        make=ProtobufFrameSerializer,
        frames=protobuf_frames,
        samples=_encoded(ProtobufFrameSerializer(), *FRAMES),
    ),
]
