"""Gemini Live: the messages in the shapes that the maker's own client reads and writes."""

import contextlib
import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.agent import AgentMessage, AudioChunk, PlaybackCleared, Transcript, TurnEnded
from trio_transports.agent.protocol import Heard
from trio_transports.agent.protocols import GeminiLiveProtocol
from trio_transports.errors import RemoteProtocolError

PCM = bytes(range(100))
MODEL = "models/gemini-live"


def hear(content: object, protocol: GeminiLiveProtocol | None = None) -> list[Heard]:
    message = json.dumps({"serverContent": content}).encode()  # as it comes: JSON in a binary message
    return list((protocol or GeminiLiveProtocol(model=MODEL)).decode(message))


def inline(mime: str) -> dict[str, Any]:
    return {"modelTurn": {"parts": [{"inlineData": {"mimeType": mime, "data": b64encode(PCM).decode()}}]}}


def test_the_setup() -> None:
    """Audio is asked for and both transcripts; what is given is laid over that."""
    protocol = GeminiLiveProtocol(model=MODEL, setup={"generationConfig": {"temperature": 0.2}})
    setup = json.loads(protocol.on_open())["setup"]
    assert setup["model"] == MODEL
    assert setup["generationConfig"] == {"responseModalities": ["AUDIO"], "temperature": 0.2}
    assert setup["inputAudioTranscription"] == setup["outputAudioTranscription"] == {}


def test_what_the_caller_says() -> None:
    """16 kHz; framed as a turn where the model does not listen for its end, and that for each turn anew."""
    said = {"realtimeInput": {"audio": {"data": b64encode(PCM).decode(), "mimeType": "audio/pcm;rate=16000"}}}
    listens = GeminiLiveProtocol(model=MODEL)
    assert [json.loads(each) for each in listens.encode_audio(PCM)] == [said]
    assert listens.encode_end() == ()
    told = GeminiLiveProtocol(model=MODEL, server_vad=False)
    assert json.loads(told.on_open())["setup"]["realtimeInputConfig"] == {
        "automaticActivityDetection": {"disabled": True}
    }
    for _ in range(2):
        assert [json.loads(each) for each in told.encode_audio(PCM)] == [{"realtimeInput": {"activityStart": {}}}, said]
        assert [json.loads(each) for each in told.encode_audio(PCM)] == [said]
        assert [json.loads(each) for each in told.encode_end()] == [{"realtimeInput": {"activityEnd": {}}}]
        assert told.encode_end() == ()


def test_what_the_model_says() -> None:
    """Audio at the rate that its type names, words of both sides, the end of a turn; each turn has a name."""
    protocol = GeminiLiveProtocol(model=MODEL)
    assert hear(inline("audio/pcm;rate=24000"), protocol) == [AudioChunk(PCM, utterance="turn-0")]
    assert hear(inline("audio/pcm;rate=16000"), protocol) == [AudioChunk(PCM, sample_rate=16000, utterance="turn-0")]
    assert hear(inline("audio/pcm"), protocol) == [AudioChunk(PCM, utterance="turn-0")]
    assert hear({"outputTranscription": {"text": "Hel"}}, protocol) == [
        Transcript("Hel", final=False, utterance="turn-0")
    ]
    assert hear({"inputTranscription": {"text": "hi"}}, protocol) == [Transcript("hi", "caller", final=False)]
    assert hear({"generationComplete": True}, protocol) == []
    assert hear({"turnComplete": True}, protocol) == [TurnEnded()]
    assert hear({"interrupted": True, **inline("audio/pcm")}, protocol) == [
        PlaybackCleared(),
        AudioChunk(PCM, utterance="turn-2"),
    ]
    assert hear({"modelTurn": {"parts": [{"text": "thinking"}, {"executableCode": {}}]}}, protocol) == [
        Transcript("thinking", final=False, utterance="turn-2"),
        AgentMessage({"executableCode": {}}),
    ]


def test_everything_else_is_handed_on() -> None:
    """Setup, goodbyes, tools, figures."""
    events: list[dict[str, Any]] = [{"setupComplete": {}}, {"goAway": {"timeLeft": "5s"}}, {"toolCall": {}}]
    for event in events:
        assert GeminiLiveProtocol(model=MODEL).decode(json.dumps(event)) == (AgentMessage(event),)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["modelTurn", "parts", "inlineData", "mimeType", "data", "text"]), inner)
        ),
        max_leaves=12,
    )
)
def test_anything_is_read_or_a_protocol_error(content: object) -> None:
    """Nothing else comes out."""
    with contextlib.suppress(RemoteProtocolError):
        hear(content)
    with pytest.raises(RemoteProtocolError):
        hear("text")
