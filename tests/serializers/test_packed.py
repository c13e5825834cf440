"""The packed dialect: its bytes, its bounds, and what MessagePack can say that a frame cannot."""

import json
import tracemalloc
from typing import Any

import msgpack
import pytest

from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.frames import AudioFrame, ImageFrame, MessageFrame, SpriteFrame, StartFrame, TextFrame
from trio_transports.serializers.codec import MAX_PARTS
from trio_transports.serializers.json import JSONFrameSerializer
from trio_transports.serializers.packed import VERSION, PackedFrameSerializer

dialect = PackedFrameSerializer()


def packed(value: object) -> bytes:
    return bytes(msgpack.packb([VERSION, value]))


def test_an_audio_frame_is_these_bytes() -> None:
    """The bytes that the module's documentation shows, so that other languages can be held to them."""
    (message,) = dialect.encode(AudioFrame(audio=b"\1\2", sample_rate=16000))
    assert message == bytes.fromhex("9201 84 a474797065 a5617564696f") + (
        b"\xa5audio\xc4\x02\x01\x02" + b"\xabsample_rate\xcd\x3e\x80" + b"\xacnum_channels\x01"
    )


def test_audio_costs_as_much_around_it_as_documented() -> None:
    (message,) = dialect.encode(AudioFrame(audio=bytes(640), sample_rate=16000))
    assert len(message) == 640 + 52


def test_destinations_travel() -> None:
    """A picture and audio each say for which track they are."""
    for frame in (
        AudioFrame(audio=b"\1\2", sample_rate=8000, destination="b", pts=7),
        ImageFrame(image=b"\0" * 12, size=(2, 2), destination="screen"),
        SpriteFrame(images=(ImageFrame(image=b"\1" * 3, size=(1, 1)), ImageFrame(image=b"\2" * 3, size=(1, 1)))),
    ):
        (message,) = dialect.encode(frame)
        assert dialect.decode(message) == (frame,)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused(version: int) -> None:
    """It says which version is spoken here, and leads to the place."""
    with pytest.raises(RemoteProtocolError, match=f"version 1 of this dialect is spoken here, not {version}") as caught:
        dialect.decode(bytes(msgpack.packb([version, {"type": "text", "text": ""}])))
    assert caught.value.path == "[0]"


@pytest.mark.parametrize("frame", [AudioFrame(audio=b"\1\2", sample_rate=2**64), TextFrame(text="a", id=2**64)])
def test_a_number_that_messagepack_has_not_is_refused(frame: AudioFrame | TextFrame) -> None:
    """Twice, whichever way a frame is written; and what is written after it is whole."""
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=f"{type(frame).__name__} cannot be packed"):
            dialect.encode(frame)
        (message,) = dialect.encode(TextFrame(text="next"))
        assert dialect.decode(message) == (TextFrame(text="next"),)


def test_what_is_unknown_is_ignored() -> None:
    assert dialect.decode(packed({"type": "hologram", "x": 1})) == ()
    assert dialect.decode(packed({"type": "text", "text": "a", "new": 1})) == (TextFrame(text="a"),)


MOST = [
    [None] * (MAX_PARTS - 4),
    [[]] * (MAX_PARTS // 2 - 2),
    [[1, 2]] * ((MAX_PARTS - 4) // 3),
    {str(number): None for number in range(MAX_PARTS // 2 - 2)},
    [{"a": 1}] * ((MAX_PARTS - 4) // 3),
    [{}] * (MAX_PARTS // 2 - 2),
    [[number] * 20 for number in range((MAX_PARTS - 4) // 21)],
]


@pytest.mark.parametrize("most", MOST, ids=lambda most: json.dumps(most[:1] if isinstance(most, list) else {"a": 1}))
def test_a_message_has_as_many_values_as_in_json(most: list[Any] | dict[str, Any]) -> None:
    """As many as the JSON dialect takes are taken, twice over; with ten more both refuse the message."""
    for _ in range(2):
        (frame,) = dialect.decode(packed({"type": "message", "message": most}))
        assert frame == MessageFrame(message=most)
    assert JSONFrameSerializer().decode(json.dumps({"type": "message", "message": most})) == (frame,)
    more = most | {f"-{number}": 1 for number in range(10)} if isinstance(most, dict) else most + [None] * 10
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            JSONFrameSerializer().decode(json.dumps({"type": "message", "message": more}))
        with pytest.raises(RemoteProtocolError):
            dialect.decode(packed({"type": "message", "message": more}))


def nested(levels: int, values: int) -> bytes:
    """So many arrays, each in the other, that are all said to be as long."""
    return bytes(msgpack.packb([VERSION, None]))[:-1] + (b"\xdd" + values.to_bytes(4, "big")) * levels


@pytest.mark.parametrize(
    "message",
    [
        packed({"type": "message", "message": [None] * 2**20}),
        packed({"type": "message", "message": [[None] * 1000] * 1000}),
        packed({"type": "message", "message": dict.fromkeys(range(2**18))}),
        packed({"type": "message", "message": [dict.fromkeys(map(str, range(1000)))] * 100}),
        packed({"type": "message", "message": [[]] * 2**20}),
        nested(1000, 2**20) + bytes(2**20),
        nested(1000, MAX_PARTS),
        nested(1000, MAX_PARTS - 10) + bytes(2**20),
        nested(100, MAX_PARTS - 10) + b"\xc0" * (100 * MAX_PARTS),
    ],
    ids=["nil", "arrays", "map", "maps", "empty", "nested, long", "nested, short", "nested, in part", "nested, whole"],
)
def test_many_values_are_refused_before_they_cost_memory(message: bytes) -> None:
    """What is refused took no more memory than ten times the largest message, whatever it said was in it."""
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError):
            dialect.decode(message)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < max(2**20, len(message)) * 10
    assert dialect.decode(packed({"type": "text", "text": "a"})) == (TextFrame(text="a"),)


@pytest.mark.parametrize(
    "value",
    [
        {"type": "message", "message": b"bytes"},
        {"type": "message", "message": float("nan")},
        {"type": "message", "message": {b"key": 1}},
        {"type": "message", "message": msgpack.Timestamp(1, 2)},
        {"type": "message", "message": msgpack.ExtType(5, b"x")},
        {"type": "start", "parameters": {"a": [b"bytes"]}},
        {"type": "start", "parameters": {b"a": 1}},
        {"type": "text", "text": b"bytes"},
        {"type": "audio", "audio": "text", "sample_rate": 8000, "num_channels": 1},
        {"type": "audio", "audio": b"\0\0", "sample_rate": 4_290_000_000, "num_channels": 1},
        {"type": "audio", "audio": b"\0", "sample_rate": 8000, "num_channels": 1},
    ],
)
def test_what_only_messagepack_can_say_is_refused(value: object) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        dialect.decode(packed(value))
    assert caught.value.path


@pytest.mark.parametrize(
    "frame",
    [
        MessageFrame(message={"a": b"bytes"}),  # type: ignore[dict-item]  # the mistake under test
        MessageFrame(message=float("inf")),
        MessageFrame(message=2**70),
        StartFrame(parameters={"a": b"bytes"}),  # type: ignore[dict-item]  # the mistake under test
        TextFrame(text="\ud800"),
        TextFrame(text="a", id=2**70),
    ],
)
def test_what_no_dialect_can_say_is_refused_here_too(frame: MessageFrame | StartFrame | TextFrame) -> None:
    with pytest.raises(LocalProtocolError):
        dialect.encode(frame)
    assert len(dialect.encode(TextFrame(text="after it"))) == 1


def test_text_is_not_of_this_dialect() -> None:
    with pytest.raises(RemoteProtocolError, match="binary message"):
        dialect.decode("text")
