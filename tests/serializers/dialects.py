"""Every serializer, with what the contract test needs to know of it."""

import json
from collections.abc import Callable
from pathlib import Path

from attrs import field, frozen
from hypothesis import strategies as st

from tests.serializers import other_conversations as scripts
from tests.serializers import other_dialects as others
from tests.serializers import strategies
from tests.serializers.conversations import PLIVO, TWILIO, TWILIO_START, ULAW_AUDIO, ULAW_B64, exotel, telnyx, vonage
from trio_transports import frames as f
from trio_transports.audio.g711 import alaw_to_pcm, ulaw_to_pcm
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer, Message
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.exotel import ExotelFrameSerializer
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.plivo import PlivoFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.serializers.rtvi import RTVIFrameSerializer
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.serializers.vonage import VonageFrameSerializer


@frozen(kw_only=True)
class Dialect:
    """``make`` gives a serializer that is ready; ``frames`` are those that survive being written and read.

    ``returned`` is the peer: it turns what was sent into the message with which the same frame would come in.
    """

    name: str
    make: Callable[[], FrameSerializer]
    frames: st.SearchStrategy[f.Frame]
    samples: list[Message] = field()
    carries_audio: bool = True
    returned: Callable[[Message], Message] = field(default=lambda message: message)

    @property
    def json_samples(self) -> list[str]:
        return [sample for sample in self.samples if isinstance(sample, str) and sample.startswith("{")]


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
    strategies.plain_texts,
    strategies.transcriptions,
    strategies.json_values.map(lambda value: f.MessageFrame(message=value)),
    strategies.interruptions,
)

marks = st.builds(f.MarkFrame, mark=strategies.texts)


def line_frames(to_pcm: Callable[[bytes], bytes], rate: int) -> st.SearchStrategy[f.Frame]:
    """Audio that survives the line's code, and the marks that come back once they were played."""
    audio = st.binary(min_size=1, max_size=40).map(lambda code: f.AudioFrame(audio=to_pcm(code), sample_rate=rate))
    return st.one_of(audio, marks)


def detected() -> DetectingFrameSerializer:
    serializer = DetectingFrameSerializer()
    serializer.decode(TWILIO_START)
    return serializer


def plivo_returns(message: Message) -> Message:
    assert isinstance(message, str)
    return message.replace("playAudio", "media", 1).replace("checkpoint", "playedStream", 1)


def vonage_returns(message: Message) -> Message:
    return message.replace('"action":"', '"event":"websocket:', 1) if isinstance(message, str) else message


RTVI: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("golden_rtvi.json").read_text("utf-8"))["client"]


def rtvi(framing: str) -> RTVIFrameSerializer:
    """A bot whose client has said that it is ready, in protobuf or in text."""
    serializer = RTVIFrameSerializer()
    ready = RTVI["client-ready"][framing]
    serializer.decode(ready if framing == "text" else bytes.fromhex(ready))
    serializer.replies()
    return serializer


def rtvi_returns(message: Message) -> Message:
    """A client that says what it heard, under the names that clients use."""
    assert isinstance(message, str)
    names = {"bot-tts-audio": "raw-audio", '"audio"': '"base64Audio"', "sample_rate": "sampleRate"}
    for bots, clients in {**names, "num_channels": "numChannels"}.items():
        message = message.replace(bots, clients, 1)
    return message


player_audio = st.binary(min_size=1, max_size=40).map(lambda code: f.AudioFrame(audio=code * 2, sample_rate=24000))

DIALECTS = [
    Dialect(
        name="rtvi",
        make=lambda: rtvi("protobuf"),
        frames=player_audio,
        samples=[
            *(bytes.fromhex(golden["protobuf"]) for golden in RTVI.values()),
            *_encoded(ProtobufFrameSerializer(), *(fr for fr in FRAMES if not isinstance(fr, f.MessageFrame))),
        ],
    ),
    Dialect(
        name="rtvi-text",
        make=lambda: rtvi("text"),
        frames=player_audio,
        samples=[golden["text"] for golden in RTVI.values()],
        returned=rtvi_returns,
    ),
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
        name="packed",
        make=PackedFrameSerializer,
        frames=strategies.wire_frames,
        samples=_encoded(PackedFrameSerializer(), *FRAMES),
    ),
    Dialect(
        name="protobuf",
        make=ProtobufFrameSerializer,
        frames=protobuf_frames,
        samples=_encoded(ProtobufFrameSerializer(), *FRAMES),
    ),
    Dialect(
        name="twilio",
        make=lambda: TwilioFrameSerializer(stream_id="MZ1"),
        frames=line_frames(ulaw_to_pcm, 8000),
        samples=TWILIO.received,
    ),
    Dialect(
        name="telnyx-pcmu",
        make=lambda: TelnyxFrameSerializer(stream_id="ST1", receive_encoding="PCMU"),
        frames=line_frames(ulaw_to_pcm, 8000),
        samples=telnyx("PCMU", ULAW_B64, ULAW_AUDIO).received,
    ),
    Dialect(
        name="telnyx-pcma",
        make=lambda: TelnyxFrameSerializer(stream_id="ST1", receive_encoding="PCMA", send_encoding="PCMA"),
        frames=line_frames(alaw_to_pcm, 8000),
        samples=telnyx("PCMA", ULAW_B64, ULAW_AUDIO).received,
    ),
    Dialect(
        name="plivo",
        make=lambda: PlivoFrameSerializer(stream_id="PL1"),
        frames=line_frames(ulaw_to_pcm, 8000),
        samples=PLIVO.received,
        returned=plivo_returns,
    ),
    Dialect(
        name="exotel",
        make=lambda: ExotelFrameSerializer(stream_id="EX1", sample_rate=16000),
        frames=line_frames(lambda code: code * 2, 16000),
        samples=exotel(16000).received,
    ),
    Dialect(
        name="vonage",
        make=lambda: VonageFrameSerializer(sample_rate=24000),
        frames=line_frames(lambda code: code * 2, 24000),
        samples=vonage(24000).received,
        returned=vonage_returns,
    ),
    Dialect(
        name="detected",
        make=detected,
        frames=line_frames(ulaw_to_pcm, 8000),
        samples=[message for message in TWILIO.received if message != TWILIO_START],
    ),
    Dialect(
        name="signalwire",
        make=others.started(scripts.SIGNALWIRE),
        frames=st.one_of(others.linear(24000), others.marks),
        samples=others.heard(scripts.SIGNALWIRE),
    ),
    Dialect(
        name="wavix",
        make=others.started(scripts.WAVIX),
        frames=st.one_of(others.linear(24000), others.marks),
        samples=others.heard(scripts.WAVIX),
    ),
    Dialect(
        name="sinch",
        make=others.started(scripts.SINCH),
        frames=others.linear(16000),
        samples=others.heard(scripts.SINCH),
    ),
    Dialect(
        name="jambonz",
        make=others.started(scripts.JAMBONZ),
        frames=st.one_of(others.linear(8000), others.marks),
        samples=others.heard(scripts.JAMBONZ),
    ),
    Dialect(
        name="azure",
        make=others.started(scripts.AZURE),
        frames=others.linear(16000),
        samples=others.heard(scripts.AZURE),
        returned=others.azure_returns,
    ),
    Dialect(
        name="asterisk",
        make=others.asterisk,
        frames=st.one_of(others.mu_law(), others.marks),
        samples=others.heard(scripts.asterisk(plain=False)),
        returned=others.asterisk_returns,
    ),
    Dialect(
        name="asterisk-plain",
        make=others.started(scripts.asterisk(plain=True)),
        frames=st.builds(f.MarkFrame, mark=st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True)),
        samples=others.heard(scripts.asterisk(plain=True)),
        returned=others.asterisk_plain_returns,
    ),
    Dialect(
        name="relay",
        make=others.started(scripts.RELAY),
        frames=others.keys,
        samples=others.heard(scripts.RELAY),
        carries_audio=False,
        returned=others.relay_returns,
    ),
    *(
        Dialect(name=f"genesys-{kind}", make=others.genesys, frames=others.mu_law(pts=0), samples=[sample])
        for kind, sample in others.GENESYS_SAMPLES.items()
    ),
]
