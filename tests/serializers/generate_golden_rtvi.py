"""Write ``golden_rtvi.json``: every RTVI message handled here, made by the real pipecat-ai models, both ways.

Run it with an interpreter that has pipecat-ai, from the root of the repository:
``python tests/serializers/generate_golden_rtvi.py``. The tests read only its output.
"""

import asyncio
import base64
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pipecat.processors.frameworks.rtvi.models as rtvi
from pipecat.frames import frames
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.serializers.rtvi_client import RTVIClientSerializer
from pydantic import BaseModel

OUTPUT = Path(__file__).with_name("golden_rtvi.json")
PCM = b"".join(sample.to_bytes(2, "little", signed=True) for sample in (0, 1, -1, 255, -256, 32767, -32768, 16000))
PCM_TEXT = base64.b64encode(PCM).decode()


def client(kind: str, data: BaseModel | dict[str, Any] | None, asked_as: str = "c-1") -> rtvi.Message:
    given = data.model_dump(exclude_none=True) if isinstance(data, BaseModel) else data
    return rtvi.Message(type=kind, id=asked_as, data=given)


def client_messages() -> dict[str, rtvi.Message]:
    """What a client sends; where pipecat has a model for the data, the model has checked it."""
    about = rtvi.AboutClientData(library="@pipecat-ai/client-js", library_version="1.13.1", platform="Linux")
    file_bytes = rtvi.File(format="image/png", name="a.png", source=rtvi.FileBytes(bytes=PCM_TEXT, width=2, height=2))
    file_url = rtvi.File(format="application/pdf", source=rtvi.FileUrl(url="https://example.org/a.pdf"))
    node = rtvi.A11yNode(ref="e1", role="button", name="Book")
    options = rtvi.SendTextOptions(run_immediately=False, audio_response=False)
    file_options = rtvi.SendFileOptions(run_immediately=False, custom_options={"detail": "low"})
    return {
        "client-ready": client("client-ready", rtvi.ClientReadyData(version=rtvi.PROTOCOL_VERSION, about=about)),
        "client-ready 1.x": client("client-ready", rtvi.ClientReadyData(version="1.2.0", about=about)),
        "client-ready 0.x": client("client-ready", {}),
        "client-ready 9.x": client("client-ready", {"version": "9.0.0"}),
        "client-message": client("client-message", rtvi.RawClientMessageData(t="weather", d={"at": ["Brno", 1.5]})),
        "client-message bare": client("client-message", rtvi.RawClientMessageData(t="ping")),
        "send-text": client("send-text", rtvi.SendTextData(content="žluť", options=rtvi.SendTextOptions())),
        "send-text bare": client("send-text", rtvi.SendTextData(content="hello")),
        "send-text later": client("send-text", rtvi.SendTextData(content="by the way", options=options)),
        "append-to-context": client(
            "append-to-context", {"role": "assistant", "content": [{"type": "text", "text": "x"}]}
        ),
        "dtmf": client("dtmf", rtvi.DTMFInputData(buttons=["1", "*", "#"])),
        "dtmf 2.0": client("dtmf", {"button": "7"}),
        "send-file": client("send-file", rtvi.SendFileData(content="what is this?", file=file_bytes)),
        "send-file url": client(
            "send-file", rtvi.SendFileData(content="for later", file=file_url, options=file_options)
        ),
        "llm-function-call-result": client(
            "llm-function-call-result",
            rtvi.LLMFunctionCallResultData(
                function_name="book", tool_call_id="t-1", arguments={"seats": 2}, result={"seat": "A1"}
            ),
        ),
        "disconnect-bot": client("disconnect-bot", {}),
        "ui-event": client("ui-event", rtvi.UIEventData(event="click", payload={"x": 1})),
        "ui-snapshot": client("ui-snapshot", rtvi.UISnapshotData(tree=rtvi.A11ySnapshot(root=node, captured_at=1))),
        "ui-cancel-job-group": client("ui-cancel-job-group", rtvi.UICancelJobGroupData(job_id="j-1", reason="late")),
        "raw-audio": client("raw-audio", {"base64Audio": PCM_TEXT, "sampleRate": 16000, "numChannels": 1}),
        "raw-audio-batch": client(
            "raw-audio-batch", {"base64AudioBatch": [PCM_TEXT, PCM_TEXT], "sampleRate": 16000, "numChannels": 2}
        ),
    }


def output(text: str, segment: int, **more: Any) -> rtvi.BotOutputMessage:  # noqa: ANN401 - the model's own fields
    data = rtvi.BotOutputMessageData(text=text, output_type="sentence", segment_id=segment, **more)
    return rtvi.BotOutputMessage(data=data)


def bot_messages() -> dict[str, BaseModel]:
    words = rtvi.TextMessageData(text="Good morning.")
    new = rtvi.SpokenProgressData(accumulated_text="", remaining_text="Good morning.")
    done = rtvi.SpokenProgressData(accumulated_text="Good morning.", remaining_text="")
    return {
        "bot-ready": rtvi.BotReady(
            id="c-1", data=rtvi.BotReadyData(version=rtvi.PROTOCOL_VERSION, about={"library": "here"})
        ),
        "bot-ready 1.x": rtvi.BotReady(id="c-1", data=rtvi.BotReadyData(version="1.2.0", about={"library": "here"})),
        "error-response": rtvi.ErrorResponse(id="c-1", data=rtvi.ErrorResponseData(error="no such place")),
        "server-response": rtvi.ServerResponse(id="c-1", data=rtvi.RawServerResponseData(t="weather", d={"c": 21})),
        "server-response bare": rtvi.ServerResponse(id="c-1", data=rtvi.RawServerResponseData(t="ping")),
        "server-message": rtvi.ServerMessage(data={"any": ["thing", 1]}),
        "error": rtvi.Error(data=rtvi.ErrorData(error="the model is gone", fatal=True)),
        "user-started-speaking": rtvi.UserStartedSpeakingMessage(),
        "user-stopped-speaking": rtvi.UserStoppedSpeakingMessage(),
        "user-mute-started": rtvi.UserMuteStartedMessage(),
        "user-mute-stopped": rtvi.UserMuteStoppedMessage(),
        "bot-started-speaking": rtvi.BotStartedSpeakingMessage(),
        "bot-stopped-speaking": rtvi.BotStoppedSpeakingMessage(),
        "bot-interrupted": rtvi.BotInterruptedMessage(),
        "bot-llm-started": rtvi.BotLLMStartedMessage(),
        "bot-llm-stopped": rtvi.BotLLMStoppedMessage(),
        "bot-tts-started": rtvi.BotTTSStartedMessage(),
        "bot-tts-stopped": rtvi.BotTTSStoppedMessage(),
        "user-llm-text": rtvi.UserLLMTextMessage(data=rtvi.TextMessageData(text="What now?")),
        "bot-llm-text": rtvi.BotLLMTextMessage(data=words),
        "bot-tts-text": rtvi.BotTTSTextMessage(data=words),
        "bot-transcription": rtvi.BotTranscriptionMessage(data=words),
        "user-transcription": rtvi.UserTranscriptionMessage(
            data=rtvi.UserTranscriptionMessageData(text="What", user_id="u", timestamp="2026-01-01", final=False)
        ),
        "bot-output new": output(
            "Good morning.", 1, spoken=False, will_be_spoken=True, spoken_status="new", spoken_progress=new
        ),
        "bot-output completed": output(
            "Good morning.", 1, spoken=True, will_be_spoken=True, spoken_status="completed", spoken_progress=done
        ),
        "bot-output in-progress": output(
            "Good morning.", 1, spoken=True, will_be_spoken=True, spoken_status="in-progress", spoken_progress=new
        ),
        "bot-output unspoken": output("Read this.", 1, spoken=False, will_be_spoken=False, spoken_status="new"),
        "bot-tts-audio": rtvi.BotTTSAudioMessage(
            data=rtvi.AudioMessageData(audio=PCM_TEXT, sample_rate=24000, num_channels=1)
        ),
        "llm-function-call-started": rtvi.LLMFunctionCallStartMessage(
            data=rtvi.LLMFunctionCallStartMessageData(function_name="book")
        ),
        "llm-function-call": rtvi.LLMFunctionCallMessage(
            data=rtvi.LLMFunctionCallMessageData(function_name="book", tool_call_id="t-1", args={"seats": 2})
        ),
        "llm-function-call-in-progress": rtvi.LLMFunctionCallInProgressMessage(
            data=rtvi.LLMFunctionCallInProgressMessageData(
                tool_call_id="t-1", function_name="book", arguments={"seats": 2}
            )
        ),
        "llm-function-call-stopped": rtvi.LLMFunctionCallStoppedMessage(
            data=rtvi.LLMFunctionCallStoppedMessageData(
                tool_call_id="t-1", cancelled=False, function_name="book", result={"seat": "A1"}
            )
        ),
        "llm-function-call-stopped cancelled": rtvi.LLMFunctionCallStoppedMessage(
            data=rtvi.LLMFunctionCallStoppedMessageData(tool_call_id="t-1", cancelled=True, function_name="book")
        ),
        "metrics": rtvi.MetricsMessage(data={"ttfb": [{"processor": "llm", "value": 0.41}]}),
        "user-audio-level": rtvi.UserAudioLevelMessage(data=rtvi.AudioLevelMessageData(value=0.5)),
        "bot-audio-level": rtvi.BotAudioLevelMessage(data=rtvi.AudioLevelMessageData(value=0.25)),
        "system-log": rtvi.SystemLogMessage(data=rtvi.TextMessageData(text="started")),
        "ui-command": rtvi.UICommandMessage(data=rtvi.UICommandData(command="toast", payload={"title": "Hi"})),
        "ui-job-group": rtvi.UIJobGroupMessage(data=rtvi.UIJobGroupCompletedData(job_id="j-1", at=5)),
    }


async def framed(document: dict[str, Any]) -> str:
    """The protobuf message that pipecat's own serializer makes of a document."""
    serializer = ProtobufFrameSerializer(params=FrameSerializer.InputParams(ignore_rtvi_messages=False))
    message: Any = await serializer.serialize(frames.OutputTransportMessageFrame(message=document))
    return bytes(message).hex()


async def understood(document: dict[str, Any]) -> str | None:
    """What pipecat's own Python client makes of a bot's message."""
    frame = await RTVIClientSerializer().deserialize(json.dumps(document))
    return None if frame is None else type(frame).__name__


async def main() -> None:
    version = importlib.metadata.version("pipecat-ai")
    golden: dict[str, Any] = {"pipecat": version, "pcm": PCM.hex(), "client": {}, "bot": {}}
    for name, message in client_messages().items():
        document = message.model_dump(exclude_none=True)
        golden["client"][name] = {"text": message.model_dump_json(), "protobuf": await framed(document)}
    for name, model in bot_messages().items():
        document = model.model_dump(exclude_none=True)
        golden["bot"][name] = {"document": document, "python_client": await understood(document)}
    OUTPUT.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print("wrote", OUTPUT.name, "with pipecat-ai", version)


if __name__ == "__main__":
    asyncio.run(main())
