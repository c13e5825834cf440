"""What a serializer must refuse, with its place, whatever the bytes are."""

import json
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bus.written import AUDIO, BOTH, typed
from tests.serializers.strategies import json_values
from trio_transports.bus import (
    BinaryMessageSerializer,
    BusDataMessage,
    BusFrameMessage,
    JSONMessageSerializer,
    MessageSerializer,
)
from trio_transports.bus.messages import WIRE_MESSAGES
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.frames import AudioFrame

NAMES = [
    "os.system",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.object",
    "builtins.dict",
    "eval",
    "antigravity.geohash",
    "this.s",
    "turtledemo.main",
    "trio_transports.bus.messages.BusMessage",
    "trio_transports.bus.worker.Worker",
    "pipecat.bus.messages.BusMessage",
    "pipecat.bus.messages.BusAddWorkerMessage",
    "pipecat.frames.frames.TextFrame",
    "pipecat.registry.types.WorkerRegistryEntry",
    "bytes",
    "__main__",
    "..",
    "",
    "\u202epipecat",
    "x" * 100_000,
]


@BOTH
@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:40]))
def test_a_name_is_looked_up_in_the_registry_only(serializer: MessageSerializer, name: str) -> None:
    """Names of modules, builtins and values are refused wherever they stand, and nothing is imported."""
    before = set(sys.modules)
    pipecat = "pipecat.bus.messages."
    places: list[object] = [
        typed(name, source="s", id=1),
        typed(
            pipecat + "BusJobRequestMessage", source="s", job_id="j", payload={"x": {"__type__": name, "__data__": 5}}
        ),
        typed(pipecat + "BusFrameMessage", source="s", frame=typed(name, id=1), direction="DOWNSTREAM"),
        typed(pipecat + "BusWorkerRegistryMessage", source="s", runner="r", workers=[typed(name, nme="x")]),
    ]
    for document in places:
        with pytest.raises(RemoteProtocolError) as info:
            serializer.decode(json.dumps(document))
        assert len(str(info.value)) < 1000
    assert set(sys.modules) == before


DATA = "pipecat.bus.messages.BusDataMessage"
JOB = "pipecat.bus.messages.BusJobRequestMessage"
FRAME = "pipecat.bus.messages.BusFrameMessage"
DOWN = {"__type__": "pipecat.processors.frame_processor.FrameDirection", "__data__": "DOWNSTREAM"}
TEXT = typed("pipecat.frames.frames.TextFrame", text="x")
AUDIO_NAME = "pipecat.frames.frames.OutputAudioRawFrame"
B64 = {"__type__": "bytes", "__data__": "AAA="}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ("", "$"),
        ("null", ""),
        ("[]", ""),
        ('"x"', ""),
        ("{}", ""),
        ("{", "$"),
        (b"\xff\xfe", "$"),
        (b"\x00" * 40, "$"),
        ('{"__type__": 5, "__data__": {}}', "__type__"),
        ('{"__type__": ["x"], "__data__": {}}', "__type__"),
        (f'{{"__type__": "{DATA}", "__data__": []}}', "__data__"),
        (f'{{"__type__": "{DATA}", "__data__": null}}', "__data__"),
        (f'{{"__type__": "{DATA}", "__data__": {{"source": NaN}}}}', "$"),
        (f'{{"__type__": "{DATA}", "__data__": {{"source": "\\ud800"}}}}', "$"),
        (typed(DATA), "__data__.source"),
        (typed(DATA, source=None), "__data__.source"),
        (typed(DATA, source=5), "__data__.source"),
        (typed(DATA, source="s", target=5), "__data__.target"),
        (typed(DATA, source="s", id="1"), "__data__.id"),
        (typed(DATA, source="s", id=True), "__data__.id"),
        (typed(DATA, source="s", id=1.5), "__data__.id"),
        (typed(JOB, source="s"), "__data__.job_id"),
        (typed(JOB, source="s", job_id="j", payload=[]), "__data__.payload"),
        (
            typed(JOB, source="s", job_id="j", payload={"a": [B64 | {"__data__": "?"}]}),
            "__data__.payload.a[0].__data__",
        ),
        (typed("pipecat.bus.messages.BusJobResponseMessage", source="s", job_id="j", status="no"), "__data__.status"),
        (
            typed("pipecat.bus.messages.BusWorkerRegistryMessage", source="s", runner="r", workers={}),
            "__data__.workers",
        ),
        (typed(FRAME, source="s", direction=DOWN), "__data__.frame"),
        (typed(FRAME, source="s", frame=TEXT, direction="DOWNSTREAM"), "__data__.direction"),
        (typed(FRAME, source="s", frame=TEXT, direction=DOWN | {"__data__": "SIDEWAYS"}), "__data__.direction"),
        (typed(FRAME, source="s", frame=TEXT, direction=DOWN | {"__data__": ["UPSTREAM"]}), "__data__.direction"),
        (typed(FRAME, source="s", frame=TEXT, direction=DOWN, role="both"), "__data__.role"),
        (typed(FRAME, source="s", frame=typed(AUDIO_NAME), direction=DOWN), "__data__.frame.__data__.audio"),
        (
            typed(FRAME, source="s", frame=typed(AUDIO_NAME, audio="AAA=", sample_rate=8000, num_channels=1)),
            "__data__.frame.__data__.audio",
        ),
        (
            typed(FRAME, source="s", frame=typed(AUDIO_NAME, audio=B64, sample_rate=10**9, num_channels=1)),
            "__data__.frame.__data__.sample_rate",
        ),
        (
            typed(FRAME, source="s", frame=typed(AUDIO_NAME, audio=B64, sample_rate=8000, num_channels=0)),
            "__data__.frame.__data__.num_channels",
        ),
        (
            typed(FRAME, source="s", frame=typed(AUDIO_NAME, audio=B64, sample_rate=8000, num_channels=2)),
            "__data__.frame.__data__.audio",
        ),
        (
            typed(FRAME, source="s", frame=typed("pipecat.frames.frames.InputDTMFFrame", button="x")),
            "__data__.frame.__data__",
        ),
        (
            typed(FRAME, source="s", frame=typed("pipecat.frames.frames.OutputDTMFFrame", buttons=["1", "2"])),
            "__data__.frame.__data__.buttons",
        ),
        (
            typed(FRAME, source="s", frame=typed("pipecat.frames.frames.SpriteFrame", images=[TEXT])),
            "__data__.frame.__data__.images[0]",
        ),
    ],
    ids=str,
)
def test_malformed_messages_are_refused_with_their_place(document: Any, path: str) -> None:  # noqa: ANN401 - anything
    """Whatever is wrong with a message is a RemoteProtocolError that names the place inside it."""
    data = document if isinstance(document, str | bytes) else json.dumps(document)
    with pytest.raises(RemoteProtocolError) as info:
        JSONMessageSerializer().decode(data)
    assert info.value.path == path


@BOTH
@pytest.mark.parametrize("opening", ["[", '{"a":', '{"__type__":"x","__data__":'])
def test_deep_nesting_is_refused(serializer: MessageSerializer, opening: str) -> None:
    """A document nested ten thousand deep is refused; it exhausts neither the stack nor the patience."""
    with pytest.raises(RemoteProtocolError):
        serializer.decode(opening * 10_000)
    depth = 200
    closed = opening * depth + "1" + ("]" if opening == "[" else "}") * depth
    with pytest.raises(RemoteProtocolError, match="nested deeper"):
        serializer.decode(closed)


@BOTH
def test_two_megabytes_are_refused_on_both_sides(serializer: MessageSerializer) -> None:
    """A message over the limit is refused before it is parsed, and is not sent either."""
    big = BusFrameMessage(source="s", frame=AudioFrame(audio=bytes(2_000_000), sample_rate=16000))
    with pytest.raises(LocalProtocolError, match="over the limit of 1048576"):
        serializer.encode(big)
    wide = JSONMessageSerializer(max_message_bytes=10_000_000)
    for data in (wide.encode(big), BinaryMessageSerializer(wide).encode(big)):
        with pytest.raises(RemoteProtocolError, match="over the limit of 1048576"):
            serializer.decode(data)
    assert BinaryMessageSerializer(wide).decode(data) == big


def test_members_that_are_not_known_are_ignored() -> None:
    """What a newer peer adds to a message, or beside it, does not keep it from being read."""
    document = typed(DATA, source="s", added={"__type__": "os.system", "__data__": "x"}) | {"__seq__": ["p", 1]}
    assert JSONMessageSerializer().decode(json.dumps(document)) == BusDataMessage(source="s")


READER = JSONMessageSerializer()
BINARY_READER = BinaryMessageSerializer(READER)


@given(cut=st.integers(1, 60), flip=st.integers(0, 60), value=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(cut: int, flip: int, value: int) -> None:
    """A binary message cut short or changed anywhere is read or a RemoteProtocolError, and nothing else."""
    data = bytearray(BinaryMessageSerializer().encode(AUDIO))
    data[flip] = value
    for damaged in (bytes(data), bytes(data[:cut])):
        with suppress(RemoteProtocolError):
            BINARY_READER.decode(damaged)


@given(document=json_values, name=st.sampled_from([cls.__name__ for cls in WIRE_MESSAGES]))
@settings(max_examples=100, deadline=None)
def test_any_document_is_read_or_refused(document: object, name: str) -> None:
    """Any JSON in any place of a message is read or a RemoteProtocolError, and nothing else."""
    known = {"source": "s", "job_id": "j", "frame": TEXT, "direction": DOWN, "runner": "r", "workers": [], "text": "t"}
    candidates = [document, typed(f"pipecat.bus.messages.{name}") | {"__data__": document}]
    candidates += [typed(f"pipecat.bus.messages.{name}", **(known | {key: document})) for key in known]
    for candidate in candidates:
        with suppress(RemoteProtocolError):
            READER.decode(json.dumps(candidate))
