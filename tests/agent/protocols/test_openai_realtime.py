"""OpenAI-Realtime-style events."""

import contextlib
import json
from base64 import b64encode
from typing import Any

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
from trio_transports.agent.protocols import OpenAIRealtimeProtocol
from trio_transports.errors import RemoteProtocolError

PCM = bytes(range(100))


def hear(event: str, protocol: OpenAIRealtimeProtocol | None = None, **members: object) -> list[Heard]:
    return list((protocol or OpenAIRealtimeProtocol()).decode(json.dumps({"type": event, **members})))


@pytest.mark.parametrize("name", ["response.output_audio.delta", "response.audio.delta"])
def test_audio_by_its_present_and_its_older_name(name: str) -> None:
    """Both are 24 kHz PCM, and may be cut inside a sample."""
    protocol = OpenAIRealtimeProtocol()
    heard = [
        item
        for cut in (PCM[:51], PCM[51:])
        for item in hear(name, protocol, delta=b64encode(cut).decode(), response_id="r")
    ]
    assert b"".join(item.data for item in heard if isinstance(item, AudioChunk)) == PCM


@pytest.mark.parametrize("prefix", ["response.output_audio_transcript", "response.audio_transcript"])
def test_the_agents_words(prefix: str) -> None:
    """In pieces, then whole."""
    assert hear(f"{prefix}.delta", delta="Hel") == [Transcript("Hel", final=False)]
    assert hear(f"{prefix}.done", transcript="Hello") == [Transcript("Hello")]
    assert hear("response.output_text.done", text="Hello") == [Transcript("Hello")]


def test_the_callers_words() -> None:
    """What the agent understood."""
    prefix = "conversation.item.input_audio_transcription"
    assert hear(f"{prefix}.delta", delta="he") == [Transcript("he", "caller", final=False)]
    assert hear(f"{prefix}.completed", transcript="hello") == [Transcript("hello", "caller")]


def test_who_speaks() -> None:
    """The caller's speech takes back what of the answer was not played yet."""
    assert hear("input_audio_buffer.speech_started") == [CallerSpeechStarted(), PlaybackCleared()]
    assert hear("input_audio_buffer.speech_stopped") == [CallerSpeechStopped()]


def test_the_end_of_a_turn() -> None:
    """Completed or cut short; a response that only calls a function is not the answer yet."""
    assert hear("response.done", response={"status": "completed", "output": [{"type": "message"}]}) == [TurnEnded()]
    assert hear("response.done") == [TurnEnded()]
    assert hear("response.done", response={"status": "cancelled"}) == [TurnEnded(completed=False, reason="cancelled")]
    (other,) = hear("response.done", response={"status": "completed", "output": [{"type": "function_call"}]})
    assert isinstance(other, AgentMessage)


def test_errors_of_the_agents_own() -> None:
    """The conversation goes on."""
    error = {"message": "no active response", "code": "response_cancel_not_active"}
    assert hear("error", error=error) == [AgentFault("no active response", "response_cancel_not_active")]
    assert hear("error") == [AgentFault("unspecified")]


def test_other_events_are_handed_on() -> None:
    """Whatever the service adds."""
    assert hear("session.created", session={}) == [AgentMessage({"type": "session.created", "session": {}})]


def test_a_response_begins_with_a_whole_sample() -> None:
    """Half a sample of a response that was cut short does not shift the next."""
    protocol = OpenAIRealtimeProtocol()
    hear("response.audio.delta", protocol, delta=b64encode(b"\x01").decode())
    hear("response.created", protocol)
    assert hear("response.audio.delta", protocol, delta=b64encode(b"\x02\x03").decode()) == [AudioChunk(b"\x02\x03")]


def test_the_session_is_set_up() -> None:
    """The user's settings lie over the protocol's, object by object."""
    session = {"instructions": "Be brief.", "audio": {"output": {"voice": "marin"}}}
    update = json.loads(OpenAIRealtimeProtocol(session=session).on_open())
    assert update["type"] == "session.update"
    assert update["session"]["instructions"] == "Be brief."
    assert update["session"]["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"}
    assert update["session"]["audio"]["input"]["turn_detection"] == {"type": "server_vad"}


def test_turns_with_and_without_server_vad() -> None:
    """Without, the end of a turn is committed and an answer asked for; with, silence keeps flowing."""
    with_vad, without = OpenAIRealtimeProtocol(), OpenAIRealtimeProtocol(server_vad=False)
    assert (list(with_vad.encode_end()), with_vad.is_continuous) == ([], True)
    assert [json.loads(message)["type"] for message in without.encode_end()] == [
        "input_audio_buffer.commit",
        "response.create",
    ]
    assert not without.is_continuous
    assert json.loads(without.on_open())["session"]["audio"]["input"]["turn_detection"] is None


def test_messages_to_send() -> None:
    """Audio and cancellation."""
    protocol = OpenAIRealtimeProtocol()
    appended = {"type": "input_audio_buffer.append", "audio": b64encode(PCM).decode()}
    assert json.loads(protocol.encode_audio(PCM)) == appended
    assert json.loads(protocol.encode_interrupt()) == {"type": "response.cancel"}


@pytest.mark.parametrize("message", ["{}", '{"type": 7}', '{"type": "response.audio.delta"}', "nope"])
def test_malformed_messages_are_refused(message: str) -> None:
    """An event without a type, audio without audio, and what is no JSON."""
    with pytest.raises(RemoteProtocolError):
        OpenAIRealtimeProtocol().decode(message)


@given(
    st.sampled_from(["response.audio.delta", "response.done", "error", "response.text.done", "response.created", "x"]),
    st.dictionaries(
        st.sampled_from(["delta", "response", "error", "text", "transcript"]),
        st.none()
        | st.integers()
        | st.text(max_size=5)
        | st.dictionaries(
            st.sampled_from(["status", "output", "code"]),
            st.none() | st.integers() | st.lists(st.integers(), max_size=2),
            max_size=2,
        ),
        max_size=3,
    ),
)
def test_any_event_is_read_or_refused(kind: str, members: dict[str, Any]) -> None:
    """A RemoteProtocolError, and nothing else."""
    with contextlib.suppress(RemoteProtocolError):
        hear(kind, **members)
