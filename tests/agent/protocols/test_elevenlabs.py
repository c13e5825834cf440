"""ElevenLabs Agents: the events in the shapes that the maker's own client reads and writes."""

import contextlib
import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.agent.memory import MemoryAdapter
from trio_transports.agent import AgentMessage, AudioChunk, PlaybackCleared, Reply, Transcript
from trio_transports.agent.protocol import Heard
from trio_transports.agent.protocols import ElevenLabsAgentProtocol
from trio_transports.errors import RemoteProtocolError

PCM = bytes(range(100))


def hear(protocol: ElevenLabsAgentProtocol, kind: str, **members: object) -> list[Heard]:
    return list(protocol.decode(json.dumps({"type": kind, **members})))


def audio(number: object) -> dict[str, object]:
    return {"audio_event": {"audio_base_64": b64encode(PCM).decode(), "event_id": number}}


def metadata(**formats: str) -> dict[str, object]:
    return {"conversation_initiation_metadata_event": {"conversation_id": "c", **formats}}


def test_the_beginning() -> None:
    """What is overridden stands beside the type; audio goes under its one key."""
    protocol = ElevenLabsAgentProtocol(initiation={"dynamic_variables": {"name": "R"}})
    assert json.loads(protocol.on_open()) == {
        "type": "conversation_initiation_client_data",
        "dynamic_variables": {"name": "R"},
    }
    assert json.loads(protocol.encode_audio(PCM)) == {"user_audio_chunk": b64encode(PCM).decode()}


def test_the_formats_are_those_that_are_announced() -> None:
    """The agent's rate is believed; one that this side does not speak, and one that is no PCM, is told."""
    protocol = ElevenLabsAgentProtocol()
    hear(protocol, "conversation_initiation_metadata", **metadata(agent_output_audio_format="pcm_24000"))
    (chunk,) = hear(protocol, "audio", **audio(1))
    assert chunk == AudioChunk(PCM, sample_rate=24000)
    with pytest.raises(RemoteProtocolError, match="input_rate=8000"):
        hear(protocol, "conversation_initiation_metadata", **metadata(user_input_audio_format="pcm_8000"))
    with pytest.raises(RemoteProtocolError, match=r"ulaw_8000.*set the agent to PCM"):
        hear(protocol, "conversation_initiation_metadata", **metadata(agent_output_audio_format="ulaw_8000"))


def test_what_an_interruption_takes_back_does_not_come_later() -> None:
    """Audio of events up to its number is dropped, twice; numbers may be written in digits."""
    protocol = ElevenLabsAgentProtocol()
    for number in (3, 7):
        assert len(hear(protocol, "audio", **audio(number))) == 1
        assert hear(protocol, "interruption", interruption_event={"event_id": number + 1}) == [PlaybackCleared()]
        assert hear(protocol, "audio", **audio(str(number + 1))) == []
        assert len(hear(protocol, "audio", **audio(number + 2))) == 1
    assert len(hear(protocol.fresh(), "audio", **audio(1))) == 1


def test_words_pings_and_the_rest() -> None:
    """Both sides' words; a ping is answered; what is not known is handed on."""
    protocol = ElevenLabsAgentProtocol()
    assert hear(protocol, "agent_response", agent_response_event={"agent_response": " Hi "}) == [Transcript("Hi")]
    assert hear(protocol, "user_transcript", user_transcription_event={"user_transcript": "yes"}) == [
        Transcript("yes", "caller")
    ]
    (reply,) = hear(protocol, "ping", ping_event={"event_id": 5, "ping_ms": None})
    assert isinstance(reply, Reply)
    assert isinstance(reply.messages, str)
    assert json.loads(reply.messages) == {"type": "pong", "event_id": 5}
    assert hear(protocol, "vad_score", vad_score_event={}) == [
        AgentMessage({"type": "vad_score", "vad_score_event": {}})
    ]


@given(
    st.dictionaries(st.sampled_from(["type", "audio_event", "ping_event", "x"]), st.none() | st.text() | st.integers())
)
def test_anything_else_is_a_protocol_error(event: dict[str, object]) -> None:
    """Whatever comes, it is read or a RemoteProtocolError."""
    with contextlib.suppress(RemoteProtocolError):
        ElevenLabsAgentProtocol().decode(json.dumps(event))
    for kind in ("audio", "ping", "interruption", "agent_response"):
        with pytest.raises(RemoteProtocolError):
            ElevenLabsAgentProtocol().decode(json.dumps({"type": kind}))


async def test_by_the_adapter(autojump_clock: MockClock) -> None:
    """At 16 kHz out, converted to what the caller hears; the ping is answered by itself."""
    async with MemoryAdapter(ElevenLabsAgentProtocol()) as adapter:
        assert json.loads(await adapter.agent.receive())["type"] == "conversation_initiation_client_data"
        await adapter.agent.send(json.dumps({"type": "ping", "ping_event": {"event_id": 1}}))
        await adapter.agent.send(json.dumps({"type": "audio", **audio(1)}))
        assert (await adapter.recv_audio(timeout=5)).sample_rate == 24000
        while json.loads(message := await adapter.agent.receive()).get("type") != "pong":
            pass
        assert json.loads(message)["event_id"] == 1
