"""Bus messages as bytes: Pipecat's own, round trips, users' own types, and audio in binary."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve, frozen
from hypothesis import given, settings

from tests.bus.strategies import messages
from tests.bus.written import AUDIO, AUDIO_FRAME, BOTH
from trio_transports import bus, frames
from trio_transports.bus import (
    BinaryMessageSerializer,
    BusAddWorkerMessage,
    BusDataMessage,
    BusFrameMessage,
    BusGapMessage,
    BusJobRequestMessage,
    BusMessage,
    BusSystemMessage,
    BusWorkerLocalErrorMessage,
    JSONMessageSerializer,
    MessageSerializer,
    Worker,
    WorkerRegistryEntry,
)
from trio_transports.bus.codec.frames import PIPECAT_KEY
from trio_transports.bus.messages import WIRE_MESSAGES
from trio_transports.bus.ui_messages import UI_MESSAGES
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.frames import AudioFrame, MessageFrame, TextFrame


class Colour(Enum):
    RED = "red"


@dataclass
class Spot:
    x: int


GOLDEN = json.loads(Path(__file__).with_name("golden_pipecat.json").read_text("utf-8"))
CASES: list[dict[str, Any]] = GOLDEN["messages"]


def message_of(case: dict[str, Any]) -> BusMessage:
    """The message that a golden case describes, as this library makes it."""
    data = case["written"]["__data__"]
    fields = dict(case["fields"])
    if "entries" in case:
        fields["workers"] = [WorkerRegistryEntry(**entry) for entry in case["entries"]]
    if "frame" in case:
        given = dict(case["frame_fields"])
        for binary in ("audio", "image"):
            if binary in given:
                given[binary] = bytes.fromhex(given[binary])
        cls = getattr(frames, case["frame"])
        if hasattr(cls, "id"):
            given |= {key: data["frame"]["__data__"][key] for key in ("id", "name")}
        fields["frame"] = cls(**given)
    message: BusMessage = getattr(bus, case["message"])(
        source=data["source"], target=data.get("target"), id=data["id"], name=data["name"], **fields
    )
    return message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["written"]["__data__"]["name"])
def test_what_pipecat_writes_is_read(case: dict[str, Any]) -> None:
    """Each message recorded from the real Pipecat is read as its counterpart, field by field."""
    assert JSONMessageSerializer().decode(json.dumps(case["written"])) == message_of(case)


@pytest.mark.parametrize(
    "odd", [datetime(2026, 1, 1, tzinfo=UTC), UUID(int=1), Colour.RED, Spot(1)], ids=lambda odd: type(odd).__name__
)
def test_what_only_one_json_library_writes_is_refused(odd: object) -> None:
    """A value that is not JSON is refused with its place, though the quicker library would write something for it."""
    for message in (
        BusJobRequestMessage(source="s", job_id="1", payload={"a": [odd]}),
        BusJobRequestMessage(source="s", job_id="1", payload={"a": [odd], "b": b"bytes"}),
        BusFrameMessage(source="s", frame=MessageFrame(message={"a": [odd]})),  # type: ignore[list-item]
        BusFrameMessage(source="s", frame=frames.RequestFrame(name="n", data=[odd], id="1")),  # type: ignore[list-item]
    ):
        with pytest.raises(LocalProtocolError, match=rf"a {type(odd).__name__} is not JSON.*a?\[0\]"):
            JSONMessageSerializer().encode(message)


def test_a_payload_that_contains_itself_is_refused() -> None:
    """It has no end, and is said to be too deep; twice."""
    endless: dict[str, object] = {}
    endless["a"] = [endless]
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="nested deeper"):
            JSONMessageSerializer().encode(BusJobRequestMessage(source="s", job_id="1", payload=endless))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["written"]["__data__"]["name"])
def test_what_is_written_is_a_part_of_what_pipecat_writes(case: dict[str, Any]) -> None:
    """Written back, a message has Pipecat's names and members, less those that hold their default."""
    ours = json.loads(JSONMessageSerializer().encode(message_of(case)))
    _assert_part(ours, case["written"], "$")


# Names that this library reads and writes back as their plain counterpart, and members that Pipecat leaves out.
_PLAINER = {
    "TTSAudioRawFrame",
    "SpeechOutputAudioRawFrame",
    "UserAudioRawFrame",
    "LLMTextFrame",
    "OutputDTMFUrgentFrame",
}


def value_of_key(tagged_key: dict[str, Any]) -> str:
    return {"ONE": "1", "POUND": "#", "STAR": "*"}[tagged_key["__data__"]]


def _assert_part(ours: object, theirs: object, where: str) -> None:
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        assert ours == theirs, where
        return
    for key, value in ours.items():
        if key == "__type__" and str(theirs[key]).rpartition(".")[2] in _PLAINER:
            continue
        if (key, value) == ("size", [0, 0]) or (key == "role" and "role" not in theirs):
            continue
        if isinstance(value, dict) and value.get("__type__") == PIPECAT_KEY:
            assert theirs[key] == value_of_key(value), where  # the plain value, which Pipecat cannot read itself
            continue
        if where.endswith("workers") or isinstance(value, list):
            continue
        _assert_part(value, theirs[key], f"{where}.{key}")


@pytest.mark.parametrize("written", GOLDEN["unknown_frames"], ids=lambda it: it["__data__"]["frame"]["__type__"])
def test_frames_of_pipecats_that_are_not_known_are_refused(written: dict[str, Any]) -> None:
    """A frame that has no counterpart here is refused by its name, and the error says where it stands."""
    with pytest.raises(RemoteProtocolError, match="is not registered here") as info:
        JSONMessageSerializer().decode(json.dumps(written))
    assert info.value.path == "__data__.frame.__type__"


@BOTH
@given(message=messages)
@settings(max_examples=150, deadline=None)
def test_round_trip(serializer: MessageSerializer, message: BusMessage) -> None:
    """Whatever is written is read as it was."""
    assert serializer.decode(serializer.encode(message)) == message


def test_the_family_is_complete() -> None:
    """Every message class of the package is on the wire, or local, or a base."""
    values = [getattr(bus, name) for name in bus.__all__]
    classes = {value for value in values if isinstance(value, type) and issubclass(value, BusMessage)}
    local = {cls for cls in classes if issubclass(cls, bus.BusLocalMessage)}
    assert classes - local - {BusMessage} == {*WIRE_MESSAGES, *UI_MESSAGES, bus.BusOpaqueMessage}


@pytest.mark.parametrize("cls", [cls for cls in WIRE_MESSAGES if cls not in (BusDataMessage, BusSystemMessage)])
def test_system_messages_are_those_of_pipecat(cls: type[BusMessage]) -> None:
    """Cancellations, the registry, errors and urgent job messages overtake; everything else is data."""
    name = cls.__name__
    system = any(part in name for part in ("Cancel", "Registry", "Error", "Urgent"))
    assert issubclass(cls, BusSystemMessage) is system
    assert issubclass(cls, BusDataMessage) is not system


@BOTH
@pytest.mark.parametrize(
    "message",
    [
        BusGapMessage(source="s", missed=1),
        BusWorkerLocalErrorMessage(source="s", error="e"),
        BusAddWorkerMessage(source="s", worker=Worker("w")),
    ],
    ids=lambda message: type(message).__name__,
)
def test_local_messages_are_not_written(serializer: MessageSerializer, message: BusMessage) -> None:
    """A message that never leaves the process is refused by every serializer, and its name is not read either."""
    with pytest.raises(LocalProtocolError, match="never leaves the process"):
        serializer.encode(message)
    name = f"pipecat.bus.messages.{type(message).__name__}"
    with pytest.raises(RemoteProtocolError, match="is not registered"):
        serializer.decode(json.dumps({"__type__": name, "__data__": {"source": "s", "error": "e"}}))


# A user's own types.


@frozen(kw_only=True)
class Point:
    x: int
    y: int = 0


@frozen(kw_only=True)
class Moved(BusDataMessage):
    to: Point
    trail: tuple[Point, ...] = ()
    raw: bytes = b""


def test_own_types_cross_under_their_own_names() -> None:
    """A registered message and the registered values in it cross, tagged with the names they were given."""
    serializer = JSONMessageSerializer()
    serializer.register(Point, "app.Point")
    serializer.register(Moved, "app.Moved")
    message = Moved(source="s", to=Point(x=1), trail=(Point(x=2, y=3),), raw=b"\0\1")
    written = json.loads(serializer.encode(message))
    assert written["__type__"] == "app.Moved"
    assert written["__data__"]["to"] == {"__type__": "app.Point", "__data__": {"x": 1}}
    assert serializer.decode(serializer.encode(message)) == message
    job = BusJobRequestMessage(
        source="s", job_id="j", payload={"points": [Point(x=1), {"deep": Point(x=2)}], "b": b"x"}
    )
    assert serializer.decode(serializer.encode(job)) == job


def test_registration_says_what_is_wrong() -> None:
    """A class that is not attrs, is local, or is taken, and a name that is taken, are refused at once."""
    serializer = JSONMessageSerializer()
    with pytest.raises(TypeError, match="takes attrs classes"):
        serializer.register(dict, "d")
    with pytest.raises(TypeError, match="never leaves the process"):
        serializer.register(BusGapMessage, "g")
    serializer.register(Point, "p")
    with pytest.raises(ValueError, match="Point as 'p' is already registered"):
        serializer.register(Point, "q")
    with pytest.raises(ValueError, match="the name 'p' is already registered"):
        serializer.register(Moved, "p")
    with pytest.raises(ValueError, match="the name 'bytes' is already registered"):
        serializer.register(Moved, "bytes")
    with pytest.raises(LocalProtocolError, match=r"Moved is not registered: call register\(Moved, name\)"):
        serializer.encode(Moved(source="s", to=Point(x=1)))
    with pytest.raises(LocalProtocolError, match="Moved is not registered"):
        serializer.encode(BusJobRequestMessage(source="s", job_id="j", payload={"p": Moved(source="s", to=Point(x=1))}))


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"a": {1, 2}}, "a set is not JSON"),
        ({"a": [float("nan")]}, "nan is not JSON"),
        ({"a": {"__type__": "x", "__data__": 1}}, "would be read as a typed value"),
        ({"a": 2**70}, "does not fit in 64 bits"),
        ({"a": "\ud800"}, "lone surrogate"),
    ],
)
def test_what_cannot_be_written_is_the_senders_fault(payload: dict[str, Any], error: str) -> None:
    """A payload that JSON cannot hold raises LocalProtocolError in the sender, and says what is wrong."""
    with pytest.raises(LocalProtocolError, match=error):
        JSONMessageSerializer().encode(BusJobRequestMessage(source="s", job_id="j", payload=payload))


def test_a_payload_without_end_is_the_senders_fault() -> None:
    """A payload that contains itself, or is far too deep, raises LocalProtocolError instead of RecursionError."""
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(LocalProtocolError, match="nested deeper"):
        JSONMessageSerializer().encode(BusJobRequestMessage(source="s", job_id="j", payload=endless))


# Audio in binary.


def test_audio_in_binary_is_the_pcm_and_a_short_head() -> None:
    """Between two of our own, 20 ms of audio costs its bytes and less than 60 more; as JSON it costs twice as much."""
    frame = AudioFrame(audio=bytes(640), sample_rate=16000)
    message = BusFrameMessage(source="voice", target="worker", frame=frame, role="input")
    assert len(BinaryMessageSerializer().encode(message)) == 640 + 32 + 6 * 2 + len("voice") + len("worker")
    assert len(JSONMessageSerializer().encode(message)) > 1100


@pytest.mark.parametrize(
    "message",
    [
        evolve(AUDIO, id=-1),
        evolve(AUDIO, id=2**63 - 1, name="x" * 70_000),
        evolve(AUDIO, frame=evolve(AUDIO_FRAME, num_channels=32)),
    ],
    ids=["negative id", "long name", "channels"],
)
def test_what_does_not_fit_the_binary_form_goes_as_json(message: BusFrameMessage) -> None:
    """A number or text too large for the binary head is sent all the same."""
    serializer = BinaryMessageSerializer()
    assert serializer.decode(serializer.encode(message)) == message


@pytest.mark.parametrize("length", [257, 0xFFFF])
def test_a_destination_that_no_peer_may_name_is_refused_where_it_is_read(length: int) -> None:
    """Whichever form it took."""
    serializer = BinaryMessageSerializer()
    sent = serializer.encode(evolve(AUDIO, frame=evolve(AUDIO_FRAME, destination="x" * length)))
    with pytest.raises(RemoteProtocolError, match="at most 256 characters are wanted"):
        serializer.decode(sent)


def test_a_json_peer_reads_what_was_written_before_anything_was_agreed() -> None:
    """The binary serializer reads JSON too, so what waits from before a connection can be sent on any."""
    data = JSONMessageSerializer().encode(AUDIO)
    assert BinaryMessageSerializer().decode(data) == AUDIO


def test_a_message_frame_may_hold_anything_json() -> None:
    """The application's own document inside a frame crosses as it is."""
    message = BusFrameMessage(source="s", frame=MessageFrame(message={"a": [1, None, {"b": True}]}, urgent=True))
    assert JSONMessageSerializer().decode(JSONMessageSerializer().encode(message)) == message


def test_the_role_survives_where_the_name_cannot_tell_it() -> None:
    """A frame that has one name in Pipecat keeps its role by a member that Pipecat ignores."""
    message = BusFrameMessage(source="s", frame=frames.InterruptionFrame(), role="input")
    assert JSONMessageSerializer().decode(JSONMessageSerializer().encode(message)) == message
    text = BusFrameMessage(source="s", frame=TextFrame(text="x"), role="input")
    assert b"InputTextRawFrame" in JSONMessageSerializer().encode(text)
    assert '"role"' not in JSONMessageSerializer().encode(text).decode(), "the name says it, and Pipecat has no member"
