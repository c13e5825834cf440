"""What a message weighs while it waits: each value, and each letter or byte of a content, but no names."""

import pytest

from trio_transports.bus import (
    BusActivateWorkerMessage,
    BusFrame,
    BusFrameMessage,
    BusMessage,
    BusOpaqueMessage,
    BusUIEventMessage,
    Payload,
    WorkerRegistryEntry,
)
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
        (EndFrame(reason="x" * 100), BASE + 2 * NODE + 100),
    ],
)
def test_a_frame_weighs_what_it_holds(frame: BusFrame, weighs: int) -> None:
    """So does its message, whatever names are on it."""
    assert frame_weight(frame) == weighs
    assert weight(BusFrameMessage(source=LONG, target=LONG, frame=frame)) == weighs


@pytest.mark.parametrize(
    ("message", "weighs"),
    [
        (BusActivateWorkerMessage(source="s"), BASE + NODE),
        (BusActivateWorkerMessage(source=LONG, target=LONG, name=LONG, args={"a": "bcd"}), BASE + 3 * NODE + 4),
        (BusUIEventMessage(source="s", event_name="abc", payload=[b"12345"]), BASE + 3 * NODE + 8),
        (BusOpaqueMessage(source=LONG, type_name="abc", data=bytes(1000)), BASE + 4 * NODE + 1003),
    ],
)
def test_a_message_weighs_its_contents(message: BusMessage, weighs: int) -> None:
    assert weight(message) == weighs
