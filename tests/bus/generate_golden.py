"""Write ``golden_pipecat.json``: what the real pipecat-ai puts on its bus.

Run it with an interpreter that has pipecat-ai, from the root of the repository:
``python tests/bus/generate_golden.py``. The tests read only its output.
"""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.bus import messages as m
from pipecat.bus.serializers import JSONMessageSerializer
from pipecat.bus.ui import messages as ui
from pipecat.frames import frames as f
from pipecat.pipeline.job_context import JobStatus
from pipecat.processors.frame_processor import FrameDirection
from pipecat.registry.types import WorkerRegistryEntry

OUTPUT = Path(__file__).with_name("golden_pipecat.json")
PCM = bytes(range(32))

Case = tuple[m.BusMessage, dict[str, Any]]


def case(message: m.BusMessage, **fields: Any) -> Case:  # noqa: ANN401 - any fields of the message
    """A message and the fields with which this library makes its counterpart, less source, target, id and name."""
    return message, {"message": type(message).__name__, "fields": fields}


def frame_case(frame: f.Frame, name: str, *, role: str = "output", up: bool = False, **fields: Any) -> Case:  # noqa: ANN401
    message = m.BusFrameMessage(
        source="far",
        target=None if up else "near",
        frame=frame,
        direction=FrameDirection.UPSTREAM if up else FrameDirection.DOWNSTREAM,
        bridge="b" if up else None,
    )
    given: dict[str, Any] = {"direction": message.direction.name, "bridge": message.bridge, "role": role}
    frame_fields = {key: value.hex() if isinstance(value, bytes) else value for key, value in fields.items()}
    return message, {"message": "BusFrameMessage", "fields": given, "frame": name, "frame_fields": frame_fields}


def message_cases() -> list[Case]:
    to = {"source": "far", "target": "near"}
    entry = WorkerRegistryEntry(name="w", parent="p", active=True, bridged=True, started_at=1700000000.5)
    payload = {"text": "é\U0001f40e", "n": 1, "x": 2.5, "none": None, "list": [True, {"deep": []}]}
    return [
        case(m.BusDataMessage(**to)),
        case(m.BusDataMessage(source="far")),
        case(m.BusTTSSpeakMessage(**to, text="hello"), text="hello"),
        case(m.BusTTSSpeakMessage(**to, text="", append_to_context=False), text="", append_to_context=False),
        case(m.BusFlushProgressMessage(**to, flush_id=3), flush_id=3),
        case(m.BusActivateWorkerMessage(**to)),
        case(m.BusActivateWorkerMessage(**to, args={"metadata": payload}), args={"metadata": payload}),
        case(m.BusDeactivateWorkerMessage(**to)),
        case(m.BusEndMessage(**to, reason="done"), reason="done"),
        case(m.BusEndWorkerMessage(**to)),
        case(m.BusCancelMessage(source="far"), reason=None),
        case(m.BusCancelWorkerMessage(**to, reason="now"), reason="now"),
        case(
            m.BusWorkerReadyMessage(**to, runner="r", active=True, started_at=1.5),
            runner="r",
            active=True,
            started_at=1.5,
        ),
        case(m.BusWorkerErrorMessage(**to, error="it broke"), error="it broke"),
        case(
            m.BusJobRequestMessage(**to, job_id="j", job_name="n", payload=payload),
            job_id="j",
            job_name="n",
            payload=payload,
        ),
        case(m.BusJobResponseMessage(**to, job_id="j", status=JobStatus.COMPLETED), job_id="j", status="completed"),
        case(
            m.BusJobResponseUrgentMessage(**to, job_id="j", status=JobStatus.FAILED, response=payload),
            job_id="j",
            status="failed",
            response=payload,
        ),
        case(m.BusJobUpdateMessage(**to, job_id="j", update={"p": 1}), job_id="j", update={"p": 1}),
        case(m.BusJobUpdateUrgentMessage(**to, job_id="j"), job_id="j"),
        case(m.BusJobUpdateRequestMessage(**to, job_id="j"), job_id="j"),
        case(m.BusJobCancelMessage(**to, job_id="j", reason="why"), job_id="j", reason="why"),
        case(m.BusJobStreamStartMessage(**to, job_id="j"), job_id="j"),
        case(m.BusJobStreamDataMessage(**to, job_id="j", data={"c": "x"}), job_id="j", data={"c": "x"}),
        case(m.BusJobStreamEndMessage(**to, job_id="j"), job_id="j"),
        (
            m.BusWorkerRegistryMessage(source="far", runner="r", workers=[entry, WorkerRegistryEntry(name="v")]),
            {
                "message": "BusWorkerRegistryMessage",
                "fields": {"runner": "r"},
                "entries": [
                    {"name": "w", "parent": "p", "active": True, "bridged": True, "started_at": 1700000000.5},
                    {"name": "v"},
                ],
            },
        ),
    ]


def frame_cases() -> list[Case]:
    audio: dict[str, Any] = {"audio": PCM, "sample_rate": 16000, "num_channels": 1}
    stamped = f.OutputAudioRawFrame(**audio)
    stamped.pts, stamped.transport_destination = 123456789, "track"
    message = {"label": "rtvi-ai", "data": [1, None]}
    image: dict[str, Any] = {"image": PCM, "size": (4, 2), "format": "RGB"}
    read_image: dict[str, Any] = {"image": PCM, "size": [0, 0]}
    spoken: dict[str, Any] = {"text": "what was said", "user_id": "u", "timestamp": "2026-01-02T03:04:05.678+00:00"}
    return [
        frame_case(f.OutputAudioRawFrame(**audio), "AudioFrame", **audio),
        frame_case(stamped, "AudioFrame", **audio, pts=123456789, destination="track"),
        frame_case(f.TTSAudioRawFrame(**audio, context_id="c"), "AudioFrame", **audio),
        frame_case(f.SpeechOutputAudioRawFrame(**audio), "AudioFrame", **audio),
        frame_case(f.InputAudioRawFrame(**audio), "AudioFrame", role="input", up=True, **audio),
        frame_case(f.UserAudioRawFrame(**audio, user_id="u"), "AudioFrame", role="input", **audio),
        frame_case(f.TextFrame("hello"), "TextFrame", up=True, text="hello"),
        frame_case(f.LLMTextFrame("hello"), "TextFrame", text="hello"),
        frame_case(f.InputTextRawFrame("hello"), "TextFrame", role="input", text="hello"),
        frame_case(f.TranscriptionFrame(**spoken), "TranscriptionFrame", **spoken),
        frame_case(f.OutputTransportMessageFrame(message), "MessageFrame", message=message),
        frame_case(f.OutputTransportMessageUrgentFrame(message), "MessageFrame", message=message, urgent=True),
        frame_case(f.InputTransportMessageFrame(message), "MessageFrame", role="input", message=message),
        frame_case(f.InputDTMFFrame(KeypadEntry.ONE), "DTMFFrame", role="input", digit="1"),
        frame_case(f.OutputDTMFFrame(KeypadEntry.POUND), "DTMFFrame", digit="#"),
        frame_case(f.OutputDTMFUrgentFrame(KeypadEntry.STAR), "DTMFFrame", digit="*"),
        frame_case(f.InterruptionFrame(), "InterruptionFrame"),
        frame_case(f.UserStartedSpeakingFrame(), "UserStartedSpeakingFrame"),
        frame_case(f.UserStoppedSpeakingFrame(), "UserStoppedSpeakingFrame"),
        frame_case(f.BotStartedSpeakingFrame(), "BotStartedSpeakingFrame"),
        frame_case(f.BotStoppedSpeakingFrame(), "BotStoppedSpeakingFrame"),
        frame_case(f.EndFrame(reason="done"), "EndFrame", reason="done"),
        frame_case(f.CancelFrame(), "CancelFrame"),
        frame_case(f.OutputImageRawFrame(**image), "ImageFrame", **read_image),
        frame_case(f.InputImageRawFrame(**image), "ImageFrame", role="input", **read_image),
    ]


def ui_cases() -> list[Case]:
    to = {"source": "far", "target": "near"}
    own: list[tuple[type[m.BusMessage], dict[str, Any]]] = [
        (ui.BusUIDataMessage, {}),
        (ui.BusUIEventMessage, {"event_name": "tap", "payload": [1, None, {"deep": "é"}]}),
        (ui.BusUICommandMessage, {"command_name": "show", "payload": {"x": 1}}),
        (ui.BusUIJobGroupStartedMessage, {"job_id": "j"}),
        (
            ui.BusUIJobGroupStartedMessage,
            {"job_id": "j", "workers": ["v", "w"], "label": "both", "cancellable": False, "at": 1700000000001},
        ),
        (ui.BusUIJobUpdateMessage, {"job_id": "j", "worker_name": "w", "data": 0.5, "at": 2}),
        (
            ui.BusUIJobCompletedMessage,
            {"job_id": "j", "worker_name": "w", "status": "completed", "response": {"n": 1}, "at": 3},
        ),
        (ui.BusUIJobGroupCompletedMessage, {"job_id": "j", "at": 4}),
    ]
    return [case(cls(**to, **fields), **fields) for cls, fields in own]


# Frames that this library has no value for: their names are refused.
UNKNOWN = [f.LLMFullResponseStartFrame(), f.BotSpeakingFrame(), f.UserSpeakingFrame(), f.MixerEnableFrame(True)]


def main() -> None:
    serializer = JSONMessageSerializer()

    def written(message: m.BusMessage) -> Any:  # noqa: ANN401 - a JSON document
        return json.loads(serializer.serialize(message))

    def unknown(frame: f.Frame) -> m.BusMessage:
        return m.BusFrameMessage(source="far", frame=frame, direction=FrameDirection.DOWNSTREAM)

    version = importlib.metadata.version("pipecat-ai")
    golden = {
        "pipecat": version,
        "messages": [
            {"written": written(sent), **spec} for sent, spec in (*message_cases(), *frame_cases(), *ui_cases())
        ],
        "unknown_frames": [written(unknown(frame)) for frame in UNKNOWN],
    }
    OUTPUT.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print("wrote", OUTPUT.name, "with pipecat-ai", version)


if __name__ == "__main__":
    main()
