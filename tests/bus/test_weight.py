"""What a message weighs while it waits: each value, and each letter or byte of a content or a name."""

import pytest
from attrs import fields_dict

from trio_transports.bus import (
    BusActivateWorkerMessage,
    BusFrame,
    BusFrameMessage,
    BusJobCancelMessage,
    BusJobRequestMessage,
    BusMessage,
    BusOpaqueMessage,
    BusUIEventMessage,
    Payload,
    WorkerRegistryEntry,
)
from trio_transports.bus.messages import WIRE_MESSAGES
from trio_transports.bus.weight import BASE, NODE, frame_weight, payload_weight, weight
from trio_transports.frames import AudioFrame, EndFrame, TextFrame

LONG = "a name of two hundred letters".ljust(200, ".")


@pytest.mark.parametrize(
    ("payload", "values", "letters"),
    [
        (None, 1, 0),
        ({}, 1, 0),
        ({"abc": 1}, 3, 3),
        ({"a": "bcd", "e": b"fg"}, 5, 7),
        ({"a": [1, (2.5, None, True), [], {}]}, 10, 1),
        ({"a": {"b": {"c": "d"}}}, 7, 4),
        ({"a": WorkerRegistryEntry(name="bcd", parent="e")}, 8, 5),
    ],
)
def test_a_payload_weighs_its_values_and_their_letters(payload: Payload | None, values: int, letters: int) -> None:
    assert payload_weight(payload) == NODE * values + letters


@pytest.mark.parametrize(
    ("frame", "weighs"),
    [
        (AudioFrame(audio=bytes(640), sample_rate=16000), BASE + 640),
        (TextFrame(text="x" * 100), BASE + 100),
        (AudioFrame(audio=b"", sample_rate=1, name=LONG, destination=LONG, utterance=LONG), BASE + 600),
        (TextFrame(text="x", name=LONG, utterance=LONG), BASE + 401),
        (EndFrame(reason="x" * 100), BASE + 2 * NODE + 100),
    ],
)
def test_a_frame_weighs_what_it_holds(frame: BusFrame, weighs: int) -> None:
    """Its message weighs the names that are on it besides."""
    assert frame_weight(frame) == weighs
    assert weight(BusFrameMessage(source=LONG, frame=frame)) == weighs + 200
    assert weight(BusFrameMessage(source=LONG, target=LONG, bridge=LONG, name=LONG, frame=frame)) == weighs + 800


@pytest.mark.parametrize(
    ("message", "weighs"),
    [
        (BusActivateWorkerMessage(source="s"), BASE + NODE + 1),
        (BusActivateWorkerMessage(source=LONG, target=LONG, name=LONG, args={"a": "bcd"}), BASE + 3 * NODE + 604),
        (BusUIEventMessage(source="s", event_name="abc", payload=[b"12345"]), BASE + 3 * NODE + 9),
        (BusOpaqueMessage(source=LONG, bridge=LONG, type_name="abc", data=bytes(1000)), BASE + 3 * NODE + 1403),
        (BusJobRequestMessage(source="s", job_id=LONG, job_name=LONG), BASE + NODE + 401),
        (BusJobCancelMessage(source="s", job_id=LONG, reason=LONG), BASE + NODE + 401),
    ],
)
def test_a_message_weighs_its_contents(message: BusMessage, weighs: int) -> None:
    assert weight(message) == weighs


@pytest.mark.parametrize("kind", WIRE_MESSAGES, ids=lambda kind: kind.__name__)
def test_a_message_weighs_no_less_than_its_texts(kind: type[BusMessage]) -> None:
    """Whichever of its members a peer makes long."""
    members = fields_dict(kind)
    given: dict[str, object] = {"source": "s", "frame": EndFrame(), "status": "completed", "flush_id": 1, "workers": ()}
    texts = {name: LONG for name, member in members.items() if member.type in (str, str | None)}
    message = kind(**({name: value for name, value in given.items() if name in members} | texts))  # type: ignore[arg-type]
    assert texts
    assert weight(message) >= BASE + 200 * len(texts)
