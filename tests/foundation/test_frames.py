"""The frames: what each is called and holds, what it refuses, and that the union leaves none out."""

import inspect
import pickle
from collections.abc import Mapping
from typing import Any, Final, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports import frames
from trio_transports.frames import (
    DTMF_DIGITS,
    AudioFrame,
    AudioLevelFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    BotThinkingFrame,
    CancelFrame,
    ContextFrame,
    DTMFFrame,
    EndFrame,
    ErrorFrame,
    FileFrame,
    FilterControlFrame,
    Frame,
    FunctionCallFrame,
    FunctionResultFrame,
    ImageFrame,
    InterruptionFrame,
    MarkFrame,
    MessageFrame,
    MetricsFrame,
    MixerControlFrame,
    RequestFrame,
    ResponseFrame,
    SpriteFrame,
    StartFrame,
    TextFrame,
    TranscriptionFrame,
    UIFrame,
    UserMutedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VolumeFrame,
    checked_audio_frame,
)

NEEDED: Final = attrs.NOTHING
FIELDS: Final[Mapping[type, Mapping[str, object]]] = {
    AudioFrame: {
        "audio": NEEDED,
        "sample_rate": NEEDED,
        "num_channels": 1,
        "pts": None,
        "destination": None,
        "id": 0,
        "name": "",
        "utterance": None,
        "interruptible": True,
    },
    TextFrame: {"text": NEEDED, "aloud": True, "id": 0, "name": "", "utterance": None, "interruptible": True},
    TranscriptionFrame: {
        "text": NEEDED,
        "final": True,
        "user_id": "",
        "timestamp": "",
        "id": 0,
        "name": "",
        "interruptible": True,
    },
    MessageFrame: {"message": NEEDED, "urgent": False, "interruptible": True},
    DTMFFrame: {"digit": NEEDED},
    ImageFrame: {"image": NEEDED, "size": NEEDED, "format": "RGB", "destination": None, "sync_with_audio": False},
    SpriteFrame: {"images": NEEDED},
    StartFrame: {
        "stream_id": None,
        "call_id": None,
        "account_id": None,
        "from_number": None,
        "to_number": None,
        "audio_in_sample_rate": None,
        "audio_out_sample_rate": None,
        "parameters": {},
    },
    EndFrame: {"reason": None},
    CancelFrame: {"reason": None},
    InterruptionFrame: {"id": 0, "name": "", "heard": ()},
    MarkFrame: {"mark": NEEDED},
    UserStartedSpeakingFrame: {"at_s": None, "notice": False},
    UserStoppedSpeakingFrame: {"at_s": None, "notice": False},
    BotStartedSpeakingFrame: {"destination": None, "notice": False},
    BotStoppedSpeakingFrame: {"destination": None, "notice": False, "heard": None},
    MixerControlFrame: {"settings": {}, "enabled": None, "destination": None},
    FilterControlFrame: {"settings": {}, "enabled": None, "output": False},
    VolumeFrame: {"volume": NEEDED, "destination": None},
    RequestFrame: {"name": NEEDED, "data": None, "id": ""},
    ResponseFrame: {"id": NEEDED, "name": "", "data": None, "error": None},
    FunctionCallFrame: {"name": NEEDED, "call_id": NEEDED, "arguments": {}},
    FunctionResultFrame: {"name": NEEDED, "call_id": NEEDED, "arguments": {}, "result": None, "cancelled": False},
    ContextFrame: {"content": NEEDED, "role": "user", "runs": False, "aloud": True},
    FileFrame: {
        "format": NEEDED,
        "data": None,
        "url": None,
        "name": None,
        "text": "",
        "runs": True,
        "aloud": True,
        "options": {},
    },
    UIFrame: {"kind": NEEDED, "data": None},
    ErrorFrame: {"error": NEEDED, "fatal": False},
    MetricsFrame: {"metrics": NEEDED},
    AudioLevelFrame: {"level": NEEDED, "speaker": "user"},
    UserMutedFrame: {"muted": NEEDED},
    BotThinkingFrame: {"thinking": NEEDED},
}

VALUES: Final[Mapping[str, Any]] = {
    "volume": 0.5,
    "audio": b"\x01\x02",
    "sample_rate": 16000,
    "text": "said",
    "message": {"a": [1, None]},
    "digit": "#",
    "image": b"pixels",
    "size": (1, 2),
    "images": (),
    "mark": "here",
    "name": "a name",
    "id": "an id",
    "call_id": "a call",
    "content": "said",
    "format": "text/plain",
    "kind": "event",
    "error": "what went wrong",
    "metrics": {"ttfb": []},
    "level": 0.5,
    "muted": True,
    "thinking": True,
}

every_frame = pytest.mark.parametrize("kind", FIELDS)


def make(kind: type) -> Any:  # noqa: ANN401 - any frame
    return kind(**{name: VALUES[name] for name, default in FIELDS[kind].items() if default is NEEDED})


def test_the_union_is_complete() -> None:
    """Every frame class of the package is a member of Frame, and nothing else is."""
    named = {
        value
        for name, value in vars(frames).items()
        if inspect.isclass(value) and name.endswith("Frame") and value.__module__.startswith(frames.__name__)
    }
    assert set(get_args(Frame)) == named == set(FIELDS)


@every_frame
def test_what_it_holds(kind: type) -> None:
    """Each frame has these fields with these defaults, and what has none is needed."""
    made = make(kind)
    assert {field.name for field in attrs.fields(kind)} == set(FIELDS[kind])
    for name, default in FIELDS[kind].items():
        assert getattr(made, name) == (VALUES[name] if default is NEEDED else default)
        if default is NEEDED:
            given_names = [other for other, value in FIELDS[kind].items() if value is NEEDED and other != name]
            with pytest.raises(TypeError, match=name):
                kind(**{other: VALUES[other] for other in given_names})


@every_frame
def test_it_is_a_value(kind: type) -> None:
    """Frozen, keyword-only, without a dict, equal by its fields, related to no other frame, with a telling repr."""
    made = make(kind)
    assert made == make(kind)
    assert attrs.evolve(made) == made
    assert not hasattr(made, "__dict__")
    assert kind.__mro__[1:] == (object,)
    assert getattr(kind, "__final__", False)
    assert repr(made).startswith(f"{kind.__name__}(")
    with pytest.raises(TypeError):
        kind("anything")
    for name in FIELDS[kind]:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(made, name, None)
    others = [make(other) for other in FIELDS if other is not kind]
    assert made not in others


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({"audio": bytearray(2), "sample_rate": 8000}, TypeError, "AudioFrame.audio must be bytes, not bytearray"),
        ({"audio": "ab", "sample_rate": 8000}, TypeError, "AudioFrame.audio must be bytes, not str"),
        (
            {"audio": b"abc", "sample_rate": 8000},
            ValueError,
            "AudioFrame: 3 bytes are not whole samples of 8000 Hz mono",
        ),
        ({"audio": b"ab", "sample_rate": 8000, "num_channels": 2}, ValueError, "pass a multiple of 4 bytes"),
        ({"audio": b"", "sample_rate": 0}, ValueError, "AudioFrame: .*sample_rate"),
        ({"audio": b"", "sample_rate": -1}, ValueError, "AudioFrame: .*sample_rate"),
        ({"audio": b"", "sample_rate": 8000.0}, TypeError, "AudioFrame.sample_rate and num_channels must be ints"),
        ({"audio": b"", "sample_rate": "8000"}, TypeError, "AudioFrame.sample_rate and num_channels must be ints"),
        ({"audio": b"", "sample_rate": 8000, "num_channels": 0}, ValueError, "AudioFrame: .*num_channels"),
        ({"audio": b"", "sample_rate": 8000, "num_channels": None}, TypeError, "must be ints"),
    ],
)
def test_audio_that_is_none(values: dict[str, Any], error: type[Exception], says: str) -> None:
    """Audio is whole samples of a stated format, or the constructor says what is wrong."""
    with pytest.raises(error, match=says):
        AudioFrame(**values)


@pytest.mark.parametrize("values", [{"sample_rate": True}, {"sample_rate": 8000, "num_channels": True}])
def test_a_flag_is_no_number(values: dict[str, Any]) -> None:
    """True is not taken for a rate or a count of one."""
    with pytest.raises((TypeError, ValueError), match="must be ints: True"):
        AudioFrame(audio=b"", **values)


@pytest.mark.parametrize(
    ("kind", "values", "error"),
    [
        (TextFrame, {"text": b"bytes"}, TypeError),
        (TranscriptionFrame, {"text": None}, TypeError),
        (MarkFrame, {"mark": 3}, TypeError),
        (DTMFFrame, {"digit": "12"}, ValueError),
        (DTMFFrame, {"digit": "a"}, ValueError),
        (DTMFFrame, {"digit": ""}, ValueError),
        (DTMFFrame, {"digit": 1}, TypeError),
        (ImageFrame, {"image": "pixels", "size": (1, 1)}, TypeError),
        (ImageFrame, {"image": b"", "size": (1, 1, 1)}, ValueError),
        (ImageFrame, {"image": b"", "size": (1, -1)}, ValueError),
        (ImageFrame, {"image": b"", "size": (1.0, 1)}, ValueError),
        (ImageFrame, {"image": b"", "size": 3}, TypeError),
        (UserStartedSpeakingFrame, {"at_s": -0.1}, ValueError),
        (UserStoppedSpeakingFrame, {"at_s": -0.1}, ValueError),
    ],
)
def test_a_value_that_is_none(kind: type, values: dict[str, Any], error: type[Exception]) -> None:
    """What could not be said to any peer is refused where it is made."""
    with pytest.raises(error):
        kind(**values)


@pytest.mark.parametrize("digit", DTMF_DIGITS)
def test_every_key(digit: str) -> None:
    """Sixteen keys are on a telephone."""
    assert DTMFFrame(digit=digit).digit == digit
    assert len(DTMF_DIGITS) == 16


def test_sequences_are_kept_as_tuples() -> None:
    """A list of images, or a size as a list, cannot be changed behind the frame's back."""
    image = ImageFrame(image=b"", size=[640, 480])
    assert image.size == (640, 480)
    images = [image]
    sprite = SpriteFrame(images=images)
    images.clear()
    assert sprite.images == (image,)


@given(
    samples=st.integers(0, 50), rate=st.integers(1, 192_000), channels=st.integers(1, 8), pts=st.none() | st.integers()
)
def test_the_short_way_to_an_audio_frame(samples: int, rate: int, channels: int, pts: int | None) -> None:
    """What checked_audio_frame makes is an AudioFrame like any other: equal, hashable, frozen, with all it can tell."""
    pcm = bytes(2 * samples * channels)
    short = checked_audio_frame(pcm, rate, channels, pts, "left", 7, "name")
    long = AudioFrame(
        audio=pcm, sample_rate=rate, num_channels=channels, pts=pts, destination="left", id=7, name="name"
    )
    assert type(short) is AudioFrame
    assert (short, hash(short), repr(short)) == (long, hash(long), repr(long))
    assert attrs.evolve(short, pts=3) == attrs.evolve(long, pts=3)
    assert short.num_samples == samples
    assert short.duration_s == pytest.approx(samples / rate)
    assert short.format == long.format
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        short.pts = 1  # type: ignore[misc]


def test_frames_can_be_matched() -> None:
    """A match statement takes each frame by its class and fields."""

    def told(frame: Frame) -> str:
        match frame:
            case AudioFrame(sample_rate=rate):
                return f"{rate} Hz"
            case MessageFrame(urgent=True, message={"a": a}):
                return f"urgent {a}"
            case _:
                return "other"

    assert told(AudioFrame(audio=b"", sample_rate=8000)) == "8000 Hz"
    assert told(MessageFrame(message={"a": 1}, urgent=True)) == "urgent 1"
    assert told(MessageFrame(message={"a": 1})) == "other"


@every_frame
def test_it_is_pickled_under_either_path(kind: type) -> None:
    """A frame survives pickling, and one that names ``trio_transports.frames`` itself is found there still."""
    made = make(kind)
    assert pickle.loads(pickle.dumps(made)) == made
    assert getattr(frames, kind.__name__) is kind
    by_package = pickle.dumps(made, protocol=0).replace(kind.__module__.encode(), frames.__name__.encode())
    assert type(pickle.loads(by_package)) is kind
