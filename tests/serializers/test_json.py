"""Frames as JSON: the documented schema, word for word."""

from typing import Any

import pytest
from hypothesis import given, settings

from tests.serializers.strategies import audio_frames
from trio_transports import frames as f
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers import json as dialect
from trio_transports.serializers.codec import dumps, loads
from trio_transports.serializers.converters import MAX_ITEMS

IMAGE = f.ImageFrame(image=b"\0\1", size=(2, 3))

GOLDEN: list[tuple[f.Frame, str]] = [
    (
        f.AudioFrame(audio=b"\0\1\2\3", sample_rate=16000),
        '{"type":"audio","sample_rate":16000,"num_channels":1,"audio":"AAECAw=="}',
    ),
    (
        f.AudioFrame(
            audio=b"\0\1\2\3", sample_rate=48000, num_channels=2, pts=0, destination='a"b', id=7, name="AudioFrame#7"
        ),
        '{"type":"audio","sample_rate":48000,"num_channels":2,"audio":"AAECAw==",'
        '"pts":0,"destination":"a\\"b","id":7,"name":"AudioFrame#7"}',
    ),
    (f.AudioFrame(audio=b"", sample_rate=8000), '{"type":"audio","sample_rate":8000,"num_channels":1,"audio":""}'),
    (f.TextFrame(text="žluť\n"), '{"type":"text","text":"žluť\\n"}'),
    (f.TextFrame(text="", id=1, name="n"), '{"type":"text","text":"","id":1,"name":"n"}'),
    (
        f.TranscriptionFrame(text="said", user_id="u", timestamp="2026-01-01T00:00:00Z"),
        '{"type":"transcription","text":"said","user_id":"u","timestamp":"2026-01-01T00:00:00Z"}',
    ),
    (f.MessageFrame(message=None), '{"type":"message","message":null}'),
    (f.MessageFrame(message={"a": [1, 2.5]}, urgent=True), '{"type":"message","message":{"a":[1,2.5]},"urgent":true}'),
    (f.DTMFFrame(digit="#"), '{"type":"dtmf","digit":"#"}'),
    (IMAGE, '{"type":"image","image":"AAE=","size":[2,3]}'),
    (
        f.SpriteFrame(images=(IMAGE, f.ImageFrame(image=b"", size=(0, 0), format="RGBA", destination="d"))),
        '{"type":"sprite","images":[{"image":"AAE=","size":[2,3]},'
        '{"image":"","size":[0,0],"format":"RGBA","destination":"d"}]}',
    ),
    (f.StartFrame(), '{"type":"start"}'),
    (
        f.StartFrame(stream_id="s", call_id="c", audio_in_sample_rate=8000, parameters={"a": {"b": None}}),
        '{"type":"start","stream_id":"s","call_id":"c","audio_in_sample_rate":8000,"parameters":{"a":{"b":null}}}',
    ),
    (f.EndFrame(), '{"type":"end"}'),
    (f.EndFrame(reason="done"), '{"type":"end","reason":"done"}'),
    (f.CancelFrame(reason="r"), '{"type":"cancel","reason":"r"}'),
    (f.InterruptionFrame(), '{"type":"interruption"}'),
    (f.InterruptionFrame(id=2**64 - 1, name="n"), '{"type":"interruption","id":18446744073709551615,"name":"n"}'),
    (f.MarkFrame(mark="m"), '{"type":"mark","mark":"m"}'),
    (f.UserStartedSpeakingFrame(at_s=1.25), '{"type":"user_started_speaking","at_s":1.25}'),
    (f.UserStoppedSpeakingFrame(), '{"type":"user_stopped_speaking"}'),
    (f.BotStartedSpeakingFrame(), '{"type":"bot_started_speaking"}'),
    (f.BotStoppedSpeakingFrame(destination="d"), '{"type":"bot_stopped_speaking","destination":"d"}'),
    (f.TextFrame(text="read this", aloud=False), '{"type":"text","text":"read this","aloud":false}'),
    (f.TranscriptionFrame(text="I gue", final=False), '{"type":"transcription","text":"I gue","final":false}'),
    (
        f.RequestFrame(name="weather", data={"at": "Brno"}, id="r1"),
        '{"type":"request","name":"weather","data":{"at":"Brno"},"id":"r1"}',
    ),
    (
        f.RequestFrame(name="weather", id="r1").answer(21),
        '{"type":"response","id":"r1","name":"weather","data":21}',
    ),
    (
        f.RequestFrame(name="weather", id="r1").refuse("no such place"),
        '{"type":"response","id":"r1","name":"weather","error":"no such place"}',
    ),
    (
        f.FunctionCallFrame(name="book", call_id="c1", arguments={"seats": 2}),
        '{"type":"function_call","name":"book","call_id":"c1","arguments":{"seats":2}}',
    ),
    (
        f.FunctionResultFrame(name="book", call_id="c1", result=["A1", "A2"]),
        '{"type":"function_result","name":"book","call_id":"c1","result":["A1","A2"]}',
    ),
    (
        f.FunctionResultFrame(name="book", call_id="c1", cancelled=True),
        '{"type":"function_result","name":"book","call_id":"c1","cancelled":true}',
    ),
    (
        f.ContextFrame(content="I am in a hurry", runs=True),
        '{"type":"context","content":"I am in a hurry","runs":true}',
    ),
    (f.FileFrame(format="text/plain", data=b"\0\1"), '{"type":"file","format":"text/plain","data":"AAE="}'),
    (
        f.FileFrame(format="image/png", url="https://example.org/a.png", text="what is this?", runs=False),
        '{"type":"file","format":"image/png","url":"https://example.org/a.png","text":"what is this?","runs":false}',
    ),
    (f.UIFrame(kind="event", data={"event": "click"}), '{"type":"ui","kind":"event","data":{"event":"click"}}'),
    (f.ErrorFrame(error="the model is gone", fatal=True), '{"type":"error","error":"the model is gone","fatal":true}'),
    (f.MetricsFrame(metrics={"turn_s": 0.5}), '{"type":"metrics","metrics":{"turn_s":0.5}}'),
    (f.AudioLevelFrame(level=0.25), '{"type":"level","level":0.25}'),
    (f.AudioLevelFrame(level=1.0, speaker="bot"), '{"type":"level","level":1.0,"speaker":"bot"}'),
    (f.UserMutedFrame(muted=True), '{"type":"user_muted","muted":true}'),
    (f.BotThinkingFrame(thinking=False), '{"type":"bot_thinking","thinking":false}'),
]


def test_the_schema() -> None:
    """Each frame is written with these bytes, in a text message or a binary one, and reads back from both."""
    text, binary = JSONFrameSerializer(), JSONFrameSerializer(binary=True)
    for frame, golden in GOLDEN:
        assert text.encode(frame) == (golden,)
        assert binary.encode(frame) == (golden.encode(),)
        for serializer in (text, binary):
            assert serializer.decode(golden) == (frame,)
            assert serializer.decode(golden.encode()) == (frame,)


def test_every_type_is_in_the_schema() -> None:
    """The golden messages and the table of the documentation have every type there is."""
    assert {type(frame) for frame, _ in GOLDEN} == set(dialect.FRAME_TYPES.values())
    assert dialect.__doc__ is not None
    for name in dialect.FRAME_TYPES:
        assert f"``{name}``" in dialect.__doc__


def test_a_hand_written_message() -> None:
    """Members in any order, spaces, members not known and a missing channel count are all fine."""
    message = ' { "audio" : "AAECAw==", "later": {"x": [1]}, "sample_rate" : 16000, "type" : "audio" }\n'
    assert JSONFrameSerializer().decode(message) == (f.AudioFrame(audio=b"\0\1\2\3", sample_rate=16000),)


def test_an_unknown_type_is_ignored() -> None:
    """A type of a later version, or the name of a frame that never travels, gives no frames."""
    for name in ("a_later_invention", "", "AudioFrame", "mixer_control"):
        assert JSONFrameSerializer().decode(f'{{"type":"{name}"}}') == ()


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ("", "$"),
        ("[]", "$"),
        ("null", "$"),
        ("{}", "type"),
        ('{"type":null}', "type"),
        ('{"type":["audio"]}', "type"),
        ('{"type":"audio"}', "audio"),
        ('{"type":"audio","audio":"AAE="}', "sample_rate"),
        ('{"type":"audio","audio":"AAE=","sample_rate":"16000"}', "sample_rate"),
        ('{"type":"audio","audio":"AAE=","sample_rate":"16000","num_channels":1}', "sample_rate"),
        ('{"type":"audio","audio":"AAE=","sample_rate":16000.0,"num_channels":1}', "sample_rate"),
        ('{"type":"audio","audio":"AAE=","sample_rate":true,"num_channels":1}', "sample_rate"),
        ('{"type":"audio","audio":"AAE=","sample_rate":0,"num_channels":1}', "sample_rate"),
        ('{"type":"audio","audio":"AAE=","sample_rate":4000000000,"num_channels":1}', "sample_rate"),
        ('{"type":"audio","audio":"AAE=","sample_rate":16000,"num_channels":0}', "num_channels"),
        ('{"type":"audio","audio":"AAE=","sample_rate":16000,"num_channels":2}', "audio"),
        ('{"type":"audio","audio":"AA==","sample_rate":16000,"num_channels":1}', "audio"),
        ('{"type":"audio","audio":"AA","sample_rate":16000,"num_channels":1}', "audio"),
        ('{"type":"audio","audio":null,"sample_rate":16000,"num_channels":1}', "audio"),
        ('{"type":"audio","audio":"AAE=","sample_rate":16000,"num_channels":1,"pts":"0"}', "pts"),
        ('{"type":"text"}', "text"),
        ('{"type":"text","text":1}', "text"),
        ('{"type":"text","text":"","id":1.0}', "id"),
        ('{"type":"message"}', "message"),
        ('{"type":"message","message":1,"urgent":1}', "urgent"),
        ('{"type":"dtmf","digit":"12"}', "digit"),
        ('{"type":"dtmf","digit":5}', "digit"),
        ('{"type":"image","image":"AA==","size":[1]}', "size"),
        ('{"type":"image","image":"AA==","size":[1,-1]}', "size"),
        ('{"type":"image","image":"AA==","size":[1,1.0]}', "size[1]"),
        ('{"type":"sprite","images":{}}', "images"),
        ('{"type":"sprite","images":[{"image":"AA==","size":[1,1]},{"image":"AA=","size":[1,1]}]}', "images[1].image"),
        ('{"type":"start","parameters":[]}', "parameters"),
        ('{"type":"start","audio_in_sample_rate":"8000"}', "audio_in_sample_rate"),
        ('{"type":"user_started_speaking","at_s":-1}', "at_s"),
        ('{"type":"user_started_speaking","at_s":"1"}', "at_s"),
    ],
)
def test_malformed(message: str, path: str) -> None:
    """A message with one thing wrong is a RemoteProtocolError that names the place, in text and in binary."""
    for given_message in (message, message.encode()):
        with pytest.raises(RemoteProtocolError) as caught:
            JSONFrameSerializer().decode(given_message)
        assert caught.value.path == path


def test_what_is_no_json_is_the_callers_mistake() -> None:
    """A message that JSON cannot hold is a LocalProtocolError that names the place in it."""
    careless: Any = {"when": [{1, 2}]}
    with pytest.raises(LocalProtocolError, match=r"a set is not JSON.*\(at \$\.message\.when\[0\]\)"):
        JSONFrameSerializer().encode(f.MessageFrame(message=careless))


def test_binary_is_a_flag() -> None:
    """A flag that is not True or False is refused."""
    with pytest.raises(TypeError, match="binary"):
        JSONFrameSerializer(binary=1)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(frame=audio_frames())
def test_the_hand_written_audio_is_what_the_converter_writes(frame: f.AudioFrame) -> None:
    """The audio message that is written and read without the converter is the converter's own."""
    serializer = JSONFrameSerializer()
    (written,) = serializer.encode(frame)
    converted: Any = {"num_channels": 1, **dialect._frames.unstructure(frame)}
    assert loads(written) == converted
    assert dialect._frames.structure(loads(written)) == frame
    assert serializer.decode(written) == (frame,)


@pytest.mark.parametrize(
    ("frame", "theirs"),
    [
        (
            f.AudioFrame(audio=b"ab", sample_rate=8000, utterance="u1", interruptible=False),
            f.AudioFrame(audio=b"ab", sample_rate=8000),
        ),
        (f.TextFrame(text="a", utterance="u1", interruptible=False), f.TextFrame(text="a")),
        (f.MessageFrame(message=1, interruptible=False), f.MessageFrame(message=1)),
    ],
)
def test_what_is_local_stays_here(frame: f.Frame, theirs: f.Frame) -> None:
    """No message holds a local field, and a peer that sends one sets nothing."""
    (message,) = JSONFrameSerializer().encode(frame)
    assert isinstance(message, str)
    assert "utterance" not in message
    assert "interruptible" not in message
    assert JSONFrameSerializer().decode(message[:-1] + ',"interruptible":false,"utterance":"u1"}') == (theirs,)


def test_a_sprite_has_a_bounded_number_of_images() -> None:
    """MAX_ITEMS images are read, one more is malformed and says where."""
    images = [{"image": "", "size": [1, 1]}] * MAX_ITEMS
    [sprite] = JSONFrameSerializer().decode(dumps({"type": "sprite", "images": images}))
    assert isinstance(sprite, f.SpriteFrame)
    assert len(sprite.images) == MAX_ITEMS
    with pytest.raises(RemoteProtocolError, match=r"at most 500 is wanted, not of 501 \(at images\)"):
        JSONFrameSerializer().decode(dumps({"type": "sprite", "images": [*images, images[0]]}))
