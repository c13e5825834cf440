"""Frames as Pipecat's protobuf messages, beyond the golden bytes."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serializers.strategies import audio_frames
from trio_transports import frames as f
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.serializers import frames_pb2 as pb
from trio_transports.serializers import protobuf
from trio_transports.serializers.announced import MIN_SAMPLE_RATE
from trio_transports.serializers.protobuf import ProtobufFrameSerializer


@settings(max_examples=100, deadline=None)
@given(
    frame=st.one_of(
        audio_frames(),
        st.integers(0, 20_000).map(lambda size: f.AudioFrame(audio=bytes(2 * size), sample_rate=size + 1)),
    )
)
def test_the_hand_written_audio_is_what_protobuf_writes(frame: f.AudioFrame) -> None:
    """The audio message that is put together by hand has the very bytes that the protobuf library writes."""
    message = pb.AudioRawFrame(audio=frame.audio, sample_rate=frame.sample_rate, num_channels=frame.num_channels)
    plain = f.AudioFrame(audio=frame.audio, sample_rate=frame.sample_rate, num_channels=frame.num_channels)
    (written,) = ProtobufFrameSerializer().encode(plain)
    assert written == pb.Frame(audio=message).SerializeToString()


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ("text", "$"),
        ("", "$"),
        (b"\xff", "$"),
        (b"\x12\x10", "$"),
        (b"\x0a\x03\x1a\x01\xff", "$"),  # text that is not UTF-8
        (pb.Frame(audio=pb.AudioRawFrame(audio=b"ab", num_channels=1)).SerializeToString(), "audio.sample_rate"),
        (
            pb.Frame(audio=pb.AudioRawFrame(audio=b"ab", sample_rate=2**32 - 1, num_channels=1)).SerializeToString(),
            "audio.sample_rate",
        ),
        (
            pb.Frame(audio=pb.AudioRawFrame(sample_rate=MIN_SAMPLE_RATE - 1, num_channels=1)).SerializeToString(),
            "audio.sample_rate",
        ),
        (pb.Frame(audio=pb.AudioRawFrame(audio=b"ab", sample_rate=8000)).SerializeToString(), "audio.num_channels"),
        (
            pb.Frame(audio=pb.AudioRawFrame(audio=b"abc", sample_rate=8000, num_channels=1)).SerializeToString(),
            "audio.audio",
        ),
        (
            pb.Frame(audio=pb.AudioRawFrame(audio=b"ab", sample_rate=8000, num_channels=2)).SerializeToString(),
            "audio.audio",
        ),
        (pb.Frame(message=pb.MessageFrame(data="{")).SerializeToString(), "message.data"),
        (pb.Frame(message=pb.MessageFrame()).SerializeToString(), "message.data"),
        (pb.Frame(message=pb.MessageFrame(data="NaN")).SerializeToString(), "message.data"),
        (pb.Frame(message=pb.MessageFrame(data="[" * 5000)).SerializeToString(), "message.data"),
    ],
)
def test_malformed(message: str | bytes, path: str) -> None:
    """Bytes that are no frame, or a frame that makes no sense, are a RemoteProtocolError that names the place."""
    with pytest.raises(RemoteProtocolError) as caught:
        ProtobufFrameSerializer().decode(message)
    assert caught.value.path == path


@pytest.mark.parametrize("message", [b"", b"\x32\x00", b"\x32\x04\x0a\x02hi", b"\x78\x01"])
def test_a_frame_of_a_later_schema_is_ignored(message: bytes) -> None:
    """A kind of frame that the schema does not have yet, and an empty message, give no frames."""
    assert ProtobufFrameSerializer().decode(message) == ()


def test_a_wav_header_passes() -> None:
    """Audio behind a 44-byte header is whole samples, mono and stereo: taking the header off is not done here."""
    header = b"RIFF" + bytes(40)
    for channels in (1, 2):
        message = pb.AudioRawFrame(audio=header + bytes(8), sample_rate=16000, num_channels=channels)
        (frame,) = ProtobufFrameSerializer().decode(pb.Frame(audio=message).SerializeToString())
        assert isinstance(frame, f.AudioFrame)
        assert frame.audio.startswith(b"RIFF")


def test_zero_is_not_absent() -> None:
    """A presentation timestamp of 0 is one; without it there is none."""
    for pts in (None, 0, 1):
        frame = f.AudioFrame(audio=b"ab", sample_rate=8000, pts=pts)
        (written,) = ProtobufFrameSerializer().encode(frame)
        assert ProtobufFrameSerializer().decode(written) == (frame,)


@pytest.mark.parametrize(
    "frame",
    [
        f.TextFrame(text="\ud800"),
        f.TextFrame(text="", id=-1),
        f.TextFrame(text="", id=2**64),
        f.InterruptionFrame(name="\udfff"),
        f.AudioFrame(audio=b"ab", sample_rate=2**32),
        f.AudioFrame(audio=b"ab", sample_rate=8000, pts=-1),
        f.MessageFrame(message={"x": float("inf")}),
    ],
)
def test_what_the_schema_cannot_hold_is_the_callers_mistake(frame: f.Frame) -> None:
    """A number out of its field's range, or text that is not Unicode, is a LocalProtocolError."""
    with pytest.raises(LocalProtocolError):
        ProtobufFrameSerializer().encode(frame)


def test_what_the_schema_lacks_is_not_sent() -> None:
    """Frames that Pipecat's peers have no message for are left out."""
    silent: list[Any] = [
        f.DTMFFrame(digit="1"),
        f.StartFrame(),
        f.EndFrame(),
        f.CancelFrame(),
        f.MarkFrame(mark="m"),
        f.ImageFrame(image=b"", size=(0, 0)),
        f.SpriteFrame(images=()),
        f.UserStartedSpeakingFrame(),
        f.UserStoppedSpeakingFrame(),
        f.BotStartedSpeakingFrame(),
        f.BotStoppedSpeakingFrame(),
    ]
    assert [ProtobufFrameSerializer().encode(frame) for frame in silent] == [()] * len(silent)


def test_without_the_extra_the_error_says_so() -> None:
    """Importing the module without protobuf names the extra to install; the other serializers need none."""
    script = (
        "import sys; sys.modules['google.protobuf'] = None; sys.modules['orjson'] = None\n"
        "from trio_transports.serializers import JSONFrameSerializer\n"
        "from trio_transports.serializers.detect import DetectingFrameSerializer\n"
        "assert 'trio_transports.serializers.protobuf' not in sys.modules\n"
        "try:\n    import trio_transports.serializers.protobuf\n"
        "except ImportError as exc:\n    print(exc)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "ProtobufFrameSerializer needs the 'protobuf' extra" in result.stdout
    assert "pip install 'trio-transports[protobuf]'" in result.stdout


def told(message: bytes) -> Sequence[f.Frame] | str:
    try:
        return ProtobufFrameSerializer().decode(message)
    except RemoteProtocolError as exc:
        return str(exc)


def test_audio_of_a_known_shape_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read once is known by the bytes around its PCM; what has others is parsed."""
    frame = f.AudioFrame(audio=bytes(range(256)), sample_rate=16000)
    serializer = ProtobufFrameSerializer()
    [message] = serializer.encode(frame)
    assert serializer.decode(message) == (frame,)
    monkeypatch.setattr(protobuf, "pb", None)
    assert serializer.decode(message) == (frame,)
    other = evolve(frame, audio=bytes(256))
    assert serializer.decode(serializer.encode(other)[0]) == (other,)
    with pytest.raises(AttributeError):
        serializer.decode(serializer.encode(evolve(frame, sample_rate=24000))[0])


def test_a_known_shape_changes_no_answer() -> None:
    """Whatever byte of a known message is another, it is read as if nothing had been read before."""
    serializer = ProtobufFrameSerializer()
    [message] = serializer.encode(f.AudioFrame(audio=bytes(40), sample_rate=16000))
    assert isinstance(message, bytes)
    for place in range(len(message)):
        for value in (0, 1, 0x12, 0x1A, 0x20, 0x28, 0x30, 0x7F, 0xFF):
            changed = message[:place] + bytes((value,)) + message[place + 1 :]
            protobuf._shapes.clear()
            alone = told(changed)
            protobuf._shapes.clear()
            assert serializer.decode(message)
            assert protobuf._shapes
            assert told(changed) == alone, (place, value)


def test_what_is_known_is_bounded() -> None:
    """A peer whose messages all differ in length has nothing remembered without bound."""
    serializer = ProtobufFrameSerializer()
    for samples in range(1, 500):
        serializer.decode(serializer.encode(f.AudioFrame(audio=bytes(2 * samples), sample_rate=16000))[0])
        assert 0 < len(protobuf._shapes) <= protobuf.MAX_SHAPES
