"""RTVI: the handshake, what is refused, the order in which things are told, and the bounds."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.serializers.test_golden_rtvi import document, greeted
from trio_transports import frames as f
from trio_transports.audio.format import AudioFormat
from trio_transports.errors import RemoteProtocolError
from trio_transports.serializers import AwaitsStart, Message, Notices, Replies
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.serializers.protocol import per_session
from trio_transports.serializers.rtvi import RTVIFrameSerializer
from trio_transports.serializers.rtvi.from_client import MAX_BATCH, MAX_KEYS
from trio_transports.serializers.rtvi.levels import level_of


def said(kind: object, data: object = None, asked_as: object = "i-1") -> str:
    return json.dumps({"label": "rtvi-ai", "type": kind, "id": asked_as, "data": data})


def types(messages: Sequence[Message]) -> list[str]:
    return [document(message)["type"] for message in messages]


def told(serializer: RTVIFrameSerializer, *frames: f.Frame) -> list[str]:
    """The types of all messages for these frames, the news of each before what has a place in the audio."""
    found: list[str] = []
    for frame in frames:
        placed = serializer.encode(frame)
        found += types([*serializer.replies(), *placed])
    return found


def test_what_a_session_asks_of_it() -> None:
    """It answers, tells notices, and waits for its client; it carries what the client's player plays."""
    serializer = RTVIFrameSerializer(player_sample_rate=16000)
    assert isinstance(serializer, Replies)
    assert isinstance(serializer, Notices)
    assert isinstance(serializer, AwaitsStart)
    assert not serializer.is_ready
    assert serializer.audio_format == AudioFormat(16000)
    assert RTVIFrameSerializer().audio_format == AudioFormat(24000)
    assert greeted().is_ready


@pytest.mark.parametrize("changes", [{"player_sample_rate": 0}, {"player_sample_rate": "24000"}, {"levels_ms": 1}])
def test_settings_are_checked(changes: dict[str, Any]) -> None:
    """A rate that is none, or levels more often than audio comes, is a mistake found at once."""
    with pytest.raises((ValueError, TypeError), match=next(iter(changes))):
        RTVIFrameSerializer(**changes)


def test_each_session_has_its_own() -> None:
    """Settings go into each session's copy, and nothing that a client said does."""
    template = RTVIFrameSerializer(player_sample_rate=48000, about={"library": "mine"}, levels_ms=100)
    template.decode(said("client-ready", {"version": "1.0.0"}))
    copy = per_session(template)
    assert copy is not template
    assert not copy.is_ready
    assert (copy.player_sample_rate, copy.about, copy.levels_ms) == (48000, {"library": "mine"}, 100)
    assert copy.replies() == []


def test_a_second_greeting_is_answered_too() -> None:
    """A client that greets again gets another bot-ready under its new id, and starts nothing twice."""
    serializer = greeted()
    serializer.replies()
    assert serializer.decode(said("client-ready", {"version": "2.0.0"}, "again")) == ()
    (answer,) = serializer.replies()
    assert document(answer)["id"] == "again"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (None, "Client version unknown."),
        ({}, "Client version unknown."),
        ([], "Client version unknown."),
        ({"version": "2.0"}, "Invalid client version format (2.0)."),
        ({"version": "2.x.0"}, "Invalid client version format (2.x.0)."),
        ({"version": "³.0.0"}, "Invalid client version format (³.0.0)."),
        ({"version": "3.0.0"}, "RTVI version 3.0.0 is not compatible with server protocol 2.2.0."),
        ({"version": "0.4.0"}, "RTVI version 0.4.0 is not compatible with server protocol 2.2.0."),
    ],
)
def test_a_strange_version_is_served_with_a_warning(data: object, complaint: str) -> None:
    """As with pipecat, the client is told and then served."""
    serializer = RTVIFrameSerializer()
    assert len(serializer.decode(said("client-ready", data))) == 1
    warning, ready = serializer.replies()
    assert document(warning)["data"]["error"] == f"{complaint} Compatibility issues may occur."
    assert document(ready)["data"]["version"] == "2.2.0"
    assert serializer.is_ready


def test_what_is_not_known_is_answered() -> None:
    """An unknown type gives no frames and an error-response with its id; it is no malformed message."""
    serializer = greeted()
    serializer.replies()
    assert serializer.decode(said("describe-config", {}, "d-1")) == ()
    (answer,) = serializer.replies()
    assert document(answer) == {
        "label": "rtvi-ai",
        "type": "error-response",
        "id": "d-1",
        "data": {"error": "Unsupported type describe-config"},
    }
    serializer.decode(said("x" * 100_000))
    (answer,) = serializer.replies()
    assert len(answer) < 400


@pytest.mark.parametrize("kind", ["error", "error-response"])
def test_errors_are_not_answered(kind: str) -> None:
    """Two bots joined by mistake must not answer each other's errors for ever."""
    serializer = greeted()
    serializer.replies()
    assert serializer.decode(said(kind, {"error": "no"})) == ()
    assert serializer.replies() == []


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (said(None), "type"),
        (said(7), "type"),
        (said("client-message"), "data"),
        (said("client-message", {"d": 1}), "data.t"),
        (said("client-message", {"t": "a"}, 7), "id"),
        (said("client-message", {"t": "a"}, "i" * 257), "id"),
        (said("client-ready", {"version": 2}), "data.version"),
        (said("send-text", {"content": None}), "data.content"),
        (said("send-text", {"content": "a", "options": {"run_immediately": "no"}}), "data.options.run_immediately"),
        (said("dtmf", {}), "data.buttons"),
        (said("dtmf", {"buttons": ["12"]}), "data.buttons[0]"),
        (said("dtmf", {"buttons": ["1", "x"]}), "data.buttons[1]"),
        (said("dtmf", {"buttons": ["1"] * (MAX_KEYS + 1)}), "data.buttons"),
        (said("raw-audio", {"base64Audio": "AAA=", "sampleRate": 16000}), "data.numChannels"),
        (said("raw-audio", {"base64Audio": "AAA", "sampleRate": 16000, "numChannels": 1}), "data.base64Audio"),
        (said("raw-audio", {"base64Audio": "AA==", "sampleRate": 16000, "numChannels": 1}), "data.audio"),
        (said("raw-audio", {"base64Audio": "AAA=", "sampleRate": 1, "numChannels": 1}), "data.sample_rate"),
        (
            said(
                "raw-audio-batch", {"base64AudioBatch": [""] * (MAX_BATCH + 1), "sampleRate": 16000, "numChannels": 1}
            ),
            "data",
        ),
        (
            said("send-file", {"content": "a", "file": {"format": "x", "source": {"type": "url", "bytes": ""}}}),
            "data.file.source",
        ),
        (
            said("send-file", {"content": "a", "file": {"format": "x", "source": {"type": "bytes", "bytes": "A"}}}),
            "data.file.source.bytes",
        ),
        (said("llm-function-call-result", {"function_name": "f"}), "data.tool_call_id"),
        (said("ui-snapshot", {"tree": []}), "data.tree"),
    ],
)
def test_what_cannot_be_read_is_refused_and_answered(message: str, path: str) -> None:
    """The place is named, to this side as an error and to the client in an error-response; a good one is read after."""
    serializer = greeted()
    serializer.replies()
    with pytest.raises(RemoteProtocolError) as caught:
        serializer.decode(message)
    assert caught.value.path == path
    (answer,) = serializer.replies()
    assert document(answer)["type"] == "error-response"
    assert path in document(answer)["data"]["error"]
    assert len(serializer.decode(said("client-message", {"t": "a"}))) == 1


@pytest.mark.parametrize("message", ["{}", "[]", '{"label":"rtvi"}', '{"type":"client-ready"}', "7", "x"])
def test_text_that_is_not_rtvi(message: str) -> None:
    """Text without the label is not this dialect, and is not answered."""
    serializer = RTVIFrameSerializer()
    with pytest.raises(RemoteProtocolError):
        serializer.decode(message)
    assert serializer.replies() == []


def test_other_protobuf_frames_are_read() -> None:
    """What pipecat's protobuf dialect has besides RTVI is read as there: text, transcriptions, other messages."""
    plain = ProtobufFrameSerializer()
    for frame in (
        f.TextFrame(text="a"),
        f.TranscriptionFrame(text="b"),
        f.MessageFrame(message={"label": "mine"}),
        f.InterruptionFrame(),
        f.AudioFrame(audio=b"\0\1", sample_rate=16000),
    ):
        (message,) = plain.encode(frame)
        assert greeted().decode(message) == (frame,)


def test_a_data_url_is_a_file_too() -> None:
    """Clients that send a whole data URL where base64 is asked for are understood."""
    source = {"type": "bytes", "bytes": "data:image/png;base64,AAE="}
    frames = greeted().decode(said("send-file", {"content": "", "file": {"format": "image/png", "source": source}}))
    assert frames[1] == f.FileFrame(format="image/png", data=b"\0\1")


def test_an_answer_is_told_in_its_order() -> None:
    """Generated text is news, the same text is spoken later; started comes once before, stopped once after."""
    serializer = greeted()
    serializer.replies()
    first, second = f.TextFrame(text="One."), f.TextFrame(text="Two.")
    assert told(serializer, first) == ["bot-llm-started", "bot-llm-text", "bot-output", "bot-tts-text", "bot-output"]
    assert told(serializer, second) == ["bot-llm-text", "bot-output", "bot-output", "bot-tts-text", "bot-output"]
    assert types(serializer.notice(f.BotStartedSpeakingFrame())) == ["bot-tts-started", "bot-started-speaking"]
    assert types(serializer.notice(f.BotStartedSpeakingFrame())) == []
    stopped = serializer.notice(f.BotStoppedSpeakingFrame())
    assert types(stopped) == ["bot-output", "bot-tts-stopped", "bot-stopped-speaking", "bot-llm-stopped"]
    assert document(stopped[0])["data"]["text"] == "Two."
    assert document(stopped[0])["data"]["spoken_status"] == "completed"
    assert told(serializer, f.TextFrame(text="Three."))[0] == "bot-llm-started"
    assert told(serializer, f.InterruptionFrame()) == ["bot-interrupted", "bot-llm-stopped"]
    assert told(serializer, f.InterruptionFrame()) == ["bot-interrupted"]


def test_segments_are_numbered() -> None:
    """Both messages of one text carry its number, and the next text has another."""
    serializer = greeted()
    serializer.replies()
    segments = []
    for text in ("One.", "Two."):
        placed = serializer.encode(f.TextFrame(text=text))
        documents = [document(message) for message in (*serializer.replies(), *placed)]
        segments.append({d["data"]["segment_id"] for d in documents if d["type"] == "bot-output"})
    assert segments == [{1}, {1, 2}]  # the first is completed where the second begins


def test_a_speaker_is_told_once() -> None:
    """What the session noticed and what a bot says again is one message."""
    serializer = greeted()
    serializer.replies()
    assert types(serializer.notice(f.UserStartedSpeakingFrame())) == ["user-started-speaking"]
    assert told(serializer, f.UserStartedSpeakingFrame()) == []
    assert told(serializer, f.UserStoppedSpeakingFrame()) == ["user-stopped-speaking"]
    assert types(serializer.notice(f.UserStoppedSpeakingFrame())) == []


def test_what_has_no_message() -> None:
    """A request passed on, keys, marks, pictures and the bot's own notices are not sent."""
    serializer = greeted()
    serializer.replies()
    frames: tuple[f.Frame, ...] = (
        f.RequestFrame(name="a"),
        f.DTMFFrame(digit="1"),
        f.MarkFrame(mark="m"),
        f.ImageFrame(image=b"", size=(0, 0)),
        f.BotStartedSpeakingFrame(),
        f.BotStoppedSpeakingFrame(),
        f.StartFrame(),
        f.EndFrame(),
        f.CancelFrame(),
        f.UIFrame(kind="event"),
        f.FileFrame(format="a"),
        f.ContextFrame(content="a", role="assistant"),
    )
    assert told(serializer, *frames) == []


def test_levels() -> None:
    """With ``levels_ms`` both sides' loudness is told that often, the bot's at once, and not without."""
    serializer = RTVIFrameSerializer(levels_ms=100)
    serializer.decode(said("client-ready", {"version": "2.0.0"}))
    serializer.replies()
    loud = f.AudioFrame(audio=b"\xff\x7f" * 480, sample_rate=24000)  # 20 ms at full scale
    (heard,) = ProtobufFrameSerializer().encode(loud)
    for _ in range(25):
        serializer.decode(heard)
        serializer.encode(loud)
    documents = [document(message) for message in serializer.replies()]
    assert [d["type"] for d in documents] == ["user-audio-level", "bot-audio-level"] * 5
    assert all(d["data"]["value"] > 0.99 for d in documents)
    quiet = greeted()
    quiet.replies()
    quiet.decode(heard)
    quiet.encode(loud)
    assert quiet.replies() == []


def test_the_scale_of_levels() -> None:
    """Silence and the faintest noise are 0, 30 dB below full scale is the middle, full scale is 1."""
    assert level_of(b"") == level_of(bytes(100)) == level_of(b"\1\0" * 50) == 0
    assert level_of((1036).to_bytes(2, "little") * 50) == pytest.approx(0.5, abs=0.01)
    assert level_of(b"\x00\x80" * 50) == 1
