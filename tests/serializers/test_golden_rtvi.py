"""The real pipecat-ai on the other end of RTVI: its recorded messages, both ways (made by generate_golden_rtvi.py)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from trio_transports import frames as f
from trio_transports.serializers import Message
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.serializers.rtvi import RTVIFrameSerializer
from trio_transports.serializers.rtvi.from_client import CLIENT_TYPES
from trio_transports.serializers.rtvi.to_client import BOT_TYPES, SystemLog, Words, bot_messages, document_of

GOLDEN = json.loads(Path(__file__).with_name("golden_rtvi.json").read_text("utf-8"))
CLIENT: dict[str, dict[str, str]] = GOLDEN["client"]
BOT: dict[str, dict[str, Any]] = GOLDEN["bot"]
PCM = bytes.fromhex(GOLDEN["pcm"])
ABOUT: Any = {"library": "@pipecat-ai/client-js", "library_version": "1.13.1", "platform": "Linux"}
NODE: Any = {"root": {"ref": "e1", "role": "button", "name": "Book"}, "captured_at": 1}

READ: dict[str, Sequence[f.Frame]] = {
    "client-ready": (f.StartFrame(parameters={"version": "2.2.0", "about": ABOUT}),),
    "client-ready 1.x": (f.StartFrame(parameters={"version": "1.2.0", "about": ABOUT}),),
    "client-ready 0.x": (f.StartFrame(parameters={"version": None, "about": None}),),
    "client-ready 9.x": (f.StartFrame(parameters={"version": "9.0.0", "about": None}),),
    "client-message": (f.RequestFrame(name="weather", data={"at": ["Brno", 1.5]}, id="c-1"),),
    "client-message bare": (f.RequestFrame(name="ping", id="c-1"),),
    "send-text": (f.InterruptionFrame(), f.TextFrame(text="žluť")),
    "send-text bare": (f.InterruptionFrame(), f.TextFrame(text="hello")),
    "send-text later": (f.ContextFrame(content="by the way", aloud=False),),
    "append-to-context": (f.ContextFrame(content=[{"type": "text", "text": "x"}], role="assistant"),),
    "dtmf": tuple(f.DTMFFrame(digit=digit) for digit in "1*#"),
    "dtmf 2.0": (f.DTMFFrame(digit="7"),),
    "send-file": (
        f.InterruptionFrame(),
        f.FileFrame(format="image/png", name="a.png", data=PCM, text="what is this?"),
    ),
    "send-file url": (
        f.FileFrame(
            format="application/pdf",
            url="https://example.org/a.pdf",
            text="for later",
            runs=False,
            options={"detail": "low"},
        ),
    ),
    "llm-function-call-result": (
        f.FunctionResultFrame(name="book", call_id="t-1", arguments={"seats": 2}, result={"seat": "A1"}),
    ),
    "disconnect-bot": (f.EndFrame(reason="disconnect-bot"),),
    "ui-event": (f.UIFrame(kind="event", data={"event": "click", "payload": {"x": 1}}),),
    "ui-snapshot": (f.UIFrame(kind="snapshot", data=NODE),),
    "ui-cancel-job-group": (f.UIFrame(kind="cancel-job-group", data={"job_id": "j-1", "reason": "late"}),),
    "raw-audio": (f.AudioFrame(audio=PCM, sample_rate=16000),),
    "raw-audio-batch": (f.AudioFrame(audio=PCM + PCM, sample_rate=16000, num_channels=2),),
}

SPOKEN = f.TextFrame(text="Good morning.")
WRITTEN: dict[str, Sequence[f.Frame]] = {
    "server-response": (f.RequestFrame(name="weather", id="c-1").answer({"c": 21}),),
    "server-response bare": (f.RequestFrame(name="ping", id="c-1").answer(),),
    "error-response": (f.RequestFrame(name="weather", id="c-1").refuse("no such place"),),
    "server-message": (f.MessageFrame(message={"any": ["thing", 1]}),),
    "error": (f.ErrorFrame(error="the model is gone", fatal=True),),
    "user-started-speaking": (f.UserStartedSpeakingFrame(),),
    "user-stopped-speaking": (f.UserStartedSpeakingFrame(), f.UserStoppedSpeakingFrame()),
    "user-mute-started": (f.UserMutedFrame(muted=True),),
    "user-mute-stopped": (f.UserMutedFrame(muted=False),),
    "bot-interrupted": (f.InterruptionFrame(),),
    "bot-llm-started": (f.BotThinkingFrame(thinking=True),),
    "bot-llm-stopped": (f.BotThinkingFrame(thinking=True), f.BotThinkingFrame(thinking=False)),
    "user-llm-text": (f.ContextFrame(content="What now?"),),
    "bot-llm-text": (SPOKEN,),
    "bot-tts-text": (SPOKEN,),
    "user-transcription": (f.TranscriptionFrame(text="What", user_id="u", timestamp="2026-01-01", final=False),),
    "bot-output new": (SPOKEN,),
    "bot-output in-progress": (SPOKEN,),
    "bot-output completed": (SPOKEN, f.TextFrame(text="Next.")),
    "bot-output unspoken": (f.TextFrame(text="Read this.", aloud=False),),
    "llm-function-call-started": (f.FunctionCallFrame(name="book", call_id="t-1", arguments={"seats": 2}),),
    "llm-function-call-in-progress": (f.FunctionCallFrame(name="book", call_id="t-1", arguments={"seats": 2}),),
    "llm-function-call-stopped": (f.FunctionResultFrame(name="book", call_id="t-1", result={"seat": "A1"}),),
    "llm-function-call-stopped cancelled": (f.FunctionResultFrame(name="book", call_id="t-1", cancelled=True),),
    "metrics": (f.MetricsFrame(metrics={"ttfb": [{"processor": "llm", "value": 0.41}]}),),
    "user-audio-level": (f.AudioLevelFrame(level=0.5),),
    "bot-audio-level": (f.AudioLevelFrame(level=0.25, speaker="bot"),),
    "ui-command": (f.UIFrame(kind="command", data={"command": "toast", "payload": {"title": "Hi"}}),),
    "ui-job-group": (f.UIFrame(kind="job-group", data={"kind": "group_completed", "job_id": "j-1", "at": 5}),),
}
NOTICED: dict[str, Sequence[f.Frame]] = {
    "user-started-speaking": (f.UserStartedSpeakingFrame(at_s=1.5),),
    "user-stopped-speaking": (f.UserStartedSpeakingFrame(at_s=1.5), f.UserStoppedSpeakingFrame(at_s=2.5)),
    "bot-started-speaking": (f.BotStartedSpeakingFrame(),),
    "bot-stopped-speaking": (f.BotStartedSpeakingFrame(), f.BotStoppedSpeakingFrame()),
    "bot-tts-started": (f.BotStartedSpeakingFrame(),),
    "bot-tts-stopped": (f.BotStartedSpeakingFrame(), f.BotStoppedSpeakingFrame()),
}


def document(message: Message) -> dict[str, Any]:
    if isinstance(message, str):
        found: dict[str, Any] = json.loads(message)
        return found
    (frame,) = ProtobufFrameSerializer().decode(message)
    assert isinstance(frame, f.MessageFrame)
    assert isinstance(frame.message, dict)
    return frame.message


def greeted(name: str = "client-ready", framing: str = "protobuf") -> RTVIFrameSerializer:
    serializer = RTVIFrameSerializer(about={"library": "here"})
    serializer.decode(of(name, framing))
    return serializer


def of(name: str, framing: str) -> Message:
    golden = CLIENT[name][framing]
    return golden if framing == "text" else bytes.fromhex(golden)


@pytest.mark.parametrize("framing", ["protobuf", "text"])
@pytest.mark.parametrize("name", CLIENT)
def test_what_clients_say_is_read(name: str, framing: str) -> None:
    """A message of pipecat's models becomes its frames, in both framings, and only a greeting is answered."""
    serializer = RTVIFrameSerializer()
    assert tuple(serializer.decode(of(name, framing))) == tuple(READ[name])
    assert bool(serializer.replies()) == name.startswith("client-ready")


@pytest.mark.parametrize("framing", ["protobuf", "text"])
@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_what_pipecat_writes(name: str, framing: str) -> None:
    """A frame becomes the document that pipecat's model makes, member for member, in the client's framing."""
    serializer = greeted(framing=framing)
    serializer.replies()
    messages: list[Message] = []
    for frame in WRITTEN[name]:
        placed = serializer.encode(frame)
        messages += [*serializer.replies(), *placed]
    assert all(isinstance(message, str) == (framing == "text") for message in messages)
    assert BOT[name]["document"] in [document(message) for message in messages]


@pytest.mark.parametrize("name", NOTICED)
def test_what_the_session_notices_is_what_pipecat_writes(name: str) -> None:
    """The session's own notices become pipecat's documents."""
    serializer = greeted()
    noticed = [document(message) for frame in NOTICED[name] for message in serializer.notice(frame)]
    assert BOT[name]["document"] in noticed


@pytest.mark.parametrize(("asked", "golden"), [("client-ready", "bot-ready"), ("client-ready 1.x", "bot-ready 1.x")])
def test_the_greeting_is_what_pipecat_writes(asked: str, golden: str) -> None:
    """The answer to a greeting is pipecat's bot-ready: for an old client with the client's own version."""
    (answer,) = greeted(asked).replies()
    assert document(answer) == BOT[golden]["document"]


def test_audio_in_text_is_what_pipecat_writes() -> None:
    """A client that writes text hears the bot in bot-tts-audio."""
    (message,) = greeted(framing="text").encode(f.AudioFrame(audio=PCM, sample_rate=24000))
    assert document(message) == BOT["bot-tts-audio"]["document"]


def test_an_old_client_reads_transcriptions() -> None:
    """A client of protocol 1.x is given bot-transcription as well, in pipecat's words, and "spoken" once."""
    documents = [document(message) for message in greeted("client-ready 1.x").encode(SPOKEN)]
    assert BOT["bot-transcription"]["document"] in documents
    outputs = [found for found in documents if found["type"] == "bot-output"]
    assert outputs == [BOT["bot-output completed"]["document"]]


@pytest.mark.parametrize(
    ("version", "golden"),
    [
        ("1.0.0", {"llm-function-call"}),
        ("1.1.0", {"llm-function-call"}),
        ("1.2.0", {"llm-function-call-started", "llm-function-call-in-progress"}),
        ("2.0.0", {"llm-function-call-started", "llm-function-call-in-progress"}),
    ],
)
def test_a_call_is_told_in_the_words_of_the_clients_version(version: str, golden: set[str]) -> None:
    """Before protocol 1.2 a call has one message; since then two, and a client given both would call twice."""
    serializer = RTVIFrameSerializer()
    greeting = {"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": {"version": version}}
    serializer.decode(json.dumps(greeting))
    call = f.FunctionCallFrame(name="book", call_id="t-1", arguments={"seats": 2})
    documents = [document(message) for message in serializer.encode(call)]
    assert {found["type"] for found in documents} == golden
    assert all(found in [BOT[name]["document"] for name in golden] for found in documents)


def test_a_log_is_sent_as_it_is() -> None:
    """An application's own RTVI document goes out untouched."""
    log = document_of(SystemLog(data=Words(text="started")))
    assert log == BOT["system-log"]["document"]
    (message,) = greeted().encode(f.MessageFrame(message=log))
    assert document(message) == log


@pytest.mark.parametrize("name", BOT)
def test_every_document_reads_back(name: str) -> None:
    """The class of each type holds all that pipecat's model writes."""
    golden = BOT[name]["document"]
    said = bot_messages.structure(golden)
    assert said is not None
    assert document_of(said) == golden


def test_every_type_has_a_golden_message() -> None:
    """No type is handled that pipecat's models were not asked about."""
    assert {name.split()[0] for name in CLIENT} == set(CLIENT_TYPES)
    assert {name.split()[0] for name in BOT} == set(BOT_TYPES)
    assert set(CLIENT) == set(READ)


def test_the_python_client_understands() -> None:
    """Pipecat's own Python client makes frames of what this side says, where it has any."""
    understood = {name: golden["python_client"] for name, golden in BOT.items() if golden["python_client"]}
    assert understood["user-transcription"] == "InterimTranscriptionFrame"
    assert understood["bot-tts-text"] == "TTSTextFrame"
    assert understood["bot-interrupted"] == "InterruptionFrame"
    assert len(understood) >= 10
