"""The real Pipecat on the other end: its recorded bytes, field by field (made by generate_golden.py)."""

import json
from pathlib import Path
from typing import Any

import pytest

from trio_transports.frames import AudioFrame, Frame, InterruptionFrame, MessageFrame, TextFrame, TranscriptionFrame
from trio_transports.serializers.protobuf import ProtobufFrameSerializer

GOLDEN = json.loads(Path(__file__).with_name("golden_pipecat.json").read_text("utf-8"))
PROTOBUF: list[dict[str, Any]] = GOLDEN["protobuf"]
KINDS: dict[str, type[Frame]] = {
    "audio": AudioFrame,
    "text": TextFrame,
    "transcription": TranscriptionFrame,
    "message": MessageFrame,
    "interruption": InterruptionFrame,
}
CLASSES = {
    "audio": "InputAudioRawFrame",
    "text": "TextFrame",
    "transcription": "TranscriptionFrame",
    "message": "InputTransportMessageFrame",
    "interruption": "InterruptionFrame",
}


def frame_of(case: dict[str, Any]) -> Frame:
    fields = {name: value for name, value in case.items() if name != "kind"}
    if "audio" in fields:
        fields["audio"] = bytes.fromhex(fields["audio"])
    return KINDS[case["kind"]](**fields)


@pytest.mark.parametrize("golden", PROTOBUF, ids=lambda golden: golden["frame"]["kind"])
class TestProtobuf:
    def test_what_pipecat_writes_is_read(self, golden: dict[str, Any]) -> None:
        """A message made by Pipecat decodes to the frame it was made of, field by field."""
        if golden["pipecat"]:  # Pipecat writes nothing at all for a frame whose fields are all empty
            decoded = ProtobufFrameSerializer().decode(bytes.fromhex(golden["pipecat"]))
            assert decoded == (frame_of(golden["frame"]),)

    def test_what_is_written_is_what_pipecat_read(self, golden: dict[str, Any]) -> None:
        """The bytes written here are those that Pipecat was seen to read with the same fields."""
        (written,) = ProtobufFrameSerializer().encode(frame_of(golden["frame"]))
        assert written == bytes.fromhex(golden["here"])
        read = dict(golden["read"])
        assert read.pop("class") == CLASSES[golden["frame"]["kind"]]
        expected = {name: value for name, value in golden["frame"].items() if name != "kind"}
        assert read == expected

    def test_what_is_written_is_read(self, golden: dict[str, Any]) -> None:
        """The bytes written here decode here to the frame they were made of."""
        assert ProtobufFrameSerializer().decode(bytes.fromhex(golden["here"])) == (frame_of(golden["frame"]),)
