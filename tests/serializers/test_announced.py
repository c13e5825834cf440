"""What a peer may announce with its audio is bounded, in every dialect in which it writes that itself."""

import json
from collections.abc import Callable

import msgpack
import pytest

from trio_transports.errors import RemoteProtocolError
from trio_transports.frames import AudioFrame
from trio_transports.serializers.announced import MAX_NAME
from trio_transports.serializers.json import JSONFrameSerializer
from trio_transports.serializers.packed import VERSION, PackedFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.serializers.protocol import FrameSerializer


def in_json(member: str, text: str) -> bytes | str:
    return json.dumps({"type": "audio", "audio": "AAA=", "sample_rate": 8000, "num_channels": 1, member: text})


def in_packed(member: str, text: str) -> bytes | str:
    frame = {"type": "audio", "audio": b"\0\0", "sample_rate": 8000, "num_channels": 1, member: text}
    return bytes(msgpack.packb([VERSION, frame]))


def in_opus(member: str, text: str) -> bytes | str:
    (message,) = PackedFrameSerializer(encoding="OPUS", opus_rate=48000).encode(
        AudioFrame(audio=bytes(1920), sample_rate=48000)
    )
    version, packet = msgpack.unpackb(message)
    return bytes(msgpack.packb([version, packet | {member: text}]))


def in_protobuf(member: str, text: str) -> bytes | str:
    assert member == "name"
    (message,) = ProtobufFrameSerializer().encode(AudioFrame(audio=b"\0\0", sample_rate=8000, name=text))
    return message


@pytest.mark.parametrize(
    ("dialect", "write", "member", "path"),
    [
        (JSONFrameSerializer, in_json, "name", "name"),
        (JSONFrameSerializer, in_json, "destination", "destination"),
        (PackedFrameSerializer, in_packed, "name", "name"),
        (PackedFrameSerializer, in_packed, "destination", "destination"),
        (PackedFrameSerializer, in_opus, "destination", "destination"),
        (ProtobufFrameSerializer, in_protobuf, "name", "audio.name"),
    ],
)
def test_names_have_a_length(
    dialect: Callable[[], FrameSerializer], write: Callable[[str, str], bytes | str], member: str, path: str
) -> None:
    """Each of the longest name is taken, and one character more is refused with its place; twice over."""
    serializer = dialect()
    for letter in "a\U0001f600":
        (frame, *_) = serializer.decode(write(member, letter * MAX_NAME))
        assert getattr(frame, member) == letter * MAX_NAME
        with pytest.raises(RemoteProtocolError, match=f"at most {MAX_NAME} characters") as caught:
            serializer.decode(write(member, letter * (MAX_NAME + 1)))
        assert caught.value.path == path
