"""Pipecat's protobuf frames; the agent's part is this library's own serializer."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.agent import (
    AgentFault,
    AgentMessage,
    AudioChunk,
    CallerSpeechStarted,
    CallerSpeechStopped,
    PlaybackCleared,
    Transcript,
    TurnEnded,
)
from trio_transports.agent.protocol import Heard
from trio_transports.agent.protocols.pipecat import PipecatProtocol
from trio_transports.audio.format import AudioFormat
from trio_transports.errors import RemoteProtocolError
from trio_transports.frames import (
    AudioFrame,
    Frame,
    InterruptionFrame,
    JSONValue,
    MessageFrame,
    TextFrame,
    TranscriptionFrame,
)
from trio_transports.serializers.protobuf import ProtobufFrameSerializer

AGENT = ProtobufFrameSerializer()


def hear(frame: Frame) -> list[Heard]:
    (message,) = AGENT.encode(frame)
    return list(PipecatProtocol().decode(message))


def rtvi(kind: str, data: JSONValue = None) -> list[Heard]:
    return hear(MessageFrame(message={"label": "rtvi-ai", "type": kind, "id": "1", "data": data}))


def test_audio_both_ways() -> None:
    """16 kHz to the agent; from it, whatever rate it states."""
    (message,) = PipecatProtocol().encode_audio(bytes(640))
    assert AGENT.decode(message) == (AudioFrame(audio=bytes(640), sample_rate=16000),)
    frame = AudioFrame(audio=bytes(8), sample_rate=48000, num_channels=2)
    assert hear(frame) == [AudioChunk(bytes(8), sample_rate=48000, num_channels=2)]
    sender = PipecatProtocol(input_format=AudioFormat(8000))
    assert AGENT.decode(sender.encode_audio(bytes(2))[0]) == (AudioFrame(audio=bytes(2), sample_rate=8000),)


def test_words_and_interruptions() -> None:
    """Text is the agent's, in pieces; a transcription is of the caller; an interruption stops the player."""
    assert hear(TextFrame(text="Hel")) == [Transcript("Hel", final=False)]
    assert hear(TranscriptionFrame(text="hello", user_id="u")) == [Transcript("hello", "caller")]
    assert hear(InterruptionFrame()) == [PlaybackCleared()]
    (message,) = PipecatProtocol().encode_interrupt()
    assert AGENT.decode(message) == (InterruptionFrame(),)


def test_client_events() -> None:
    """What RTVI says of words and of who speaks; the rest is handed on."""
    assert rtvi("bot-transcription", {"text": "Hello"}) == [Transcript("Hello")]
    assert rtvi("user-transcription", {"text": "hi", "final": False}) == [Transcript("hi", "caller", final=False)]
    assert rtvi("user-transcription", {"text": "hi", "final": True}) == [Transcript("hi", "caller")]
    assert rtvi("bot-stopped-speaking") == [TurnEnded()]
    assert rtvi("user-started-speaking") == [CallerSpeechStarted()]
    assert rtvi("user-stopped-speaking") == [CallerSpeechStopped()]
    assert rtvi("error", {"error": "broken"}) == [AgentFault("broken")]
    (other,) = rtvi("bot-ready", {"version": "1.0.0"})
    assert isinstance(other, AgentMessage)
    assert hear(MessageFrame(message={"my": "own"})) == [AgentMessage({"my": "own"})]


def test_introduction() -> None:
    """As an RTVI client when asked to, else not a word."""
    assert PipecatProtocol().on_open() == ()
    (message,) = PipecatProtocol(rtvi=True).on_open()
    (frame,) = AGENT.decode(message)
    assert isinstance(frame, MessageFrame)
    assert isinstance(frame.message, dict)
    assert (frame.message["label"], frame.message["type"]) == ("rtvi-ai", "client-ready")


@given(st.one_of(st.text(max_size=20), st.binary(max_size=60)))
def test_any_message_is_read_or_refused(message: str | bytes) -> None:
    """A RemoteProtocolError, and nothing else."""
    with contextlib.suppress(RemoteProtocolError):
        PipecatProtocol().decode(message)


@pytest.mark.parametrize("data", [None, 7, "text", [], {"text": 7}, {"final": 1}])
@pytest.mark.parametrize("kind", ["bot-transcription", "user-transcription", "error", "bot-ready"])
def test_client_events_of_any_shape(kind: str, data: JSONValue) -> None:
    """One that lacks what it should have is handed on as it is."""
    (heard,) = rtvi(kind, data)
    assert isinstance(heard, AgentMessage | AgentFault)
