"""Write ``golden_pipecat.json``: what the real pipecat-ai makes of frames and messages.

Run it with an interpreter that has pipecat-ai, from the root of the repository:
``python tests/serializers/generate_golden.py``. The tests read only its output.
"""

import asyncio
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from pipecat.frames import frames
from pipecat.frames.protobufs import frames_pb2
from pipecat.serializers.exotel import ExotelFrameSerializer
from pipecat.serializers.plivo import PlivoFrameSerializer
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.serializers.telnyx import TelnyxFrameSerializer
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.serializers.vonage import VonageFrameSerializer

OUTPUT = Path(__file__).with_name("golden_pipecat.json")

# Numbers that cover the positive and negative half and both ends, with no run of equal ones.
SAMPLES = [0, 1, -1, 7, -8, 255, -256, 1000, -1001, 8031, -8032, 16000, -16001, 32635, 32767, -32768]
PCM = b"".join(sample.to_bytes(2, "little", signed=True) for sample in SAMPLES)

PROTOBUF_CASES: list[dict[str, Any]] = [
    {"kind": "audio", "audio": PCM.hex(), "sample_rate": 16000, "num_channels": 1},
    {
        "kind": "audio",
        "audio": PCM.hex(),
        "sample_rate": 44100,
        "num_channels": 2,
        "id": 7,
        "name": "a#7",
        "pts": 123456789,
    },
    {"kind": "audio", "audio": "", "sample_rate": 8000, "num_channels": 1},
    {"kind": "audio", "audio": "0100" * 960, "sample_rate": 48000, "num_channels": 1, "id": 2**64 - 1},
    {"kind": "text", "text": "hello"},
    {"kind": "text", "text": "žluťoučký kůň \U0001f40e \x00 \n", "id": 300, "name": "TextFrame#0"},
    {"kind": "text", "text": ""},
    {
        "kind": "transcription",
        "text": "what was said",
        "user_id": "user-1",
        "timestamp": "2026-01-02T03:04:05.678+00:00",
    },
    {"kind": "transcription", "text": "", "user_id": "", "timestamp": "", "id": 1, "name": "n"},
    {
        "kind": "message",
        "message": {"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": {"version": "1.0.0"}},
    },
    {"kind": "message", "message": {"nested": [1, 2.5, None, True, "é", {"deep": []}], "": {}}},
    {"kind": "interruption", "id": 12, "name": "InterruptionFrame#3"},
    {"kind": "interruption"},
]


def make(case: dict[str, Any]) -> frames.Frame:
    match case["kind"]:
        case "audio":
            frame: frames.Frame = frames.OutputAudioRawFrame(
                audio=bytes.fromhex(case["audio"]), sample_rate=case["sample_rate"], num_channels=case["num_channels"]
            )
        case "text":
            frame = frames.TextFrame(text=case["text"])
        case "transcription":
            frame = frames.TranscriptionFrame(text=case["text"], user_id=case["user_id"], timestamp=case["timestamp"])
        case "message":
            frame = frames.OutputTransportMessageFrame(message=case["message"])
        case _:
            frame = frames.InterruptionFrame()
    frame.id, frame.name, frame.pts = case.get("id", 0), case.get("name", ""), case.get("pts")
    return frame


FIELDS = ("text", "user_id", "timestamp", "sample_rate", "num_channels", "pts", "id", "name", "message")


def fields(frame: frames.Frame | None, case: dict[str, Any]) -> dict[str, Any]:
    """What Pipecat read, of the fields that the case has; ids and names that a message lacks Pipecat makes up."""
    assert frame is not None
    found = {name: getattr(frame, name) for name in FIELDS if name in case}
    if "audio" in case:
        found["audio"] = frame.audio.hex()
    return {"class": type(frame).__name__, **found}


def written_here(case: dict[str, Any]) -> bytes | None:
    """What this library writes where Pipecat writes other bytes: compact JSON, and frames with nothing in them."""
    match case:
        case {"kind": "message", "message": message}:
            data = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
            frame = frames_pb2.Frame(message=frames_pb2.MessageFrame(data=data))
        case {"kind": "text", "text": ""}:
            frame = frames_pb2.Frame(text=frames_pb2.TextFrame())
        case {"kind": "interruption"} if len(case) == 1:
            frame = frames_pb2.Frame(interruption=frames_pb2.InterruptionFrame())
        case _:
            return None
    written: bytes = frame.SerializeToString()
    return written


async def protobuf() -> list[dict[str, Any]]:
    serializer = ProtobufFrameSerializer()
    golden = []
    for case in PROTOBUF_CASES:
        pipecat: Any = await serializer.serialize(make(case))
        here = written_here(case)
        golden.append(
            {
                "frame": case,
                "pipecat": pipecat.hex(),  # "" where Pipecat loses a frame with nothing in it
                "here": pipecat.hex() if here is None else here.hex(),
                "read": fields(await serializer.deserialize(pipecat if here is None else here), case),
            }
        )
    return golden


class Setup:
    """The one thing that a telephony serializer asks of a pipeline: its rate, equal to the line's, so none resample."""

    def __init__(self, audio_in_sample_rate: int) -> None:
        self.audio_in_sample_rate = audio_in_sample_rate


async def telephony() -> dict[str, dict[str, Any]]:
    def telnyx(encoding: str) -> TelnyxFrameSerializer:
        return TelnyxFrameSerializer(
            "ST1", encoding, encoding, params=TelnyxFrameSerializer.InputParams(auto_hang_up=False)
        )

    serializers: dict[str, tuple[int, Any]] = {
        "twilio": (8000, TwilioFrameSerializer("MZ1", params=TwilioFrameSerializer.InputParams(auto_hang_up=False))),
        "telnyx_pcmu": (8000, telnyx("PCMU")),
        "telnyx_pcma": (8000, telnyx("PCMA")),
        "plivo": (8000, PlivoFrameSerializer("PL1", params=PlivoFrameSerializer.InputParams(auto_hang_up=False))),
        "exotel": (8000, ExotelFrameSerializer("EX1")),
        "vonage": (16000, VonageFrameSerializer()),
    }
    golden = {}
    for name, (rate, serializer) in serializers.items():
        await serializer.setup(Setup(rate))
        audio = frames.OutputAudioRawFrame(audio=PCM, sample_rate=rate, num_channels=1)
        media = await serializer.serialize(audio)
        back = await serializer.deserialize(media if name != "plivo" else media.replace("playAudio", "media"))
        golden[name] = {
            "pcm": PCM.hex(),
            "sample_rate": rate,
            "media": media if isinstance(media, str) else {"hex": media.hex()},
            "media_read": back.audio.hex(),
            "clear": await serializer.serialize(frames.InterruptionFrame()),
            "message": await serializer.serialize(frames.OutputTransportMessageFrame(message={"a": [1, "é"]})),
            "rtvi": await serializer.serialize(
                frames.OutputTransportMessageFrame(message={"label": "rtvi-ai", "type": "x"})
            ),
        }
    return golden


async def main() -> None:
    version = importlib.metadata.version("pipecat-ai")
    golden = {"pipecat": version, "protobuf": await protobuf(), "telephony": await telephony()}
    OUTPUT.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print("wrote", OUTPUT.name, "with pipecat-ai", version)


if __name__ == "__main__":
    asyncio.run(main())
