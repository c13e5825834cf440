"""Twilio media streams, in the part of the provider; the agent's part is this library's own serializer."""

import contextlib
import json
from base64 import b64encode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.agent import AgentMessage, AudioChunk, PlaybackCleared, Reply
from trio_transports.agent.protocols import TwilioMediaStreamProtocol
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.g711 import pcm_to_ulaw, ulaw_to_pcm
from trio_transports.errors import RemoteProtocolError
from trio_transports.frames import AudioFrame, DTMFFrame, EndFrame, InterruptionFrame, JSONValue, MarkFrame, StartFrame
from trio_transports.serializers.twilio import TwilioFrameSerializer

SID = "MZ" + "1" * 32
PCM = (np.sin(np.arange(480) / 5) * 9000).astype("<i2").tobytes()


def protocol() -> TwilioMediaStreamProtocol:
    return TwilioMediaStreamProtocol(
        stream_sid=SID, call_sid="CA2", account_sid="AC3", custom_parameters={"name": "Ann"}
    )


def test_the_opening() -> None:
    """Connected, then start with the ids, the codec and the parameters."""
    connected, start = (json.loads(message) for message in protocol().on_open())
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start == {
        "event": "start",
        "sequenceNumber": "1",
        "start": {
            "streamSid": SID,
            "accountSid": "AC3",
            "callSid": "CA2",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"name": "Ann"},
        },
        "streamSid": SID,
    }


def test_media_is_20_ms_of_mulaw() -> None:
    """Numbered, timed, and never longer than a packet."""
    caller = protocol()
    caller.on_open()
    messages = [json.loads(message) for message in caller.encode_audio(PCM)]
    assert [message["sequenceNumber"] for message in messages] == ["2", "3", "4"]
    assert [message["media"]["chunk"] for message in messages] == ["1", "2", "3"]
    assert [message["media"]["timestamp"] for message in messages] == ["0", "20", "40"]
    payloads = b"".join(pcm_to_ulaw(PCM)[start : start + 160] for start in range(0, 480, 160))
    assert [message["media"]["payload"] for message in messages] == [
        b64encode(payloads[start : start + 160]).decode() for start in range(0, 480, 160)
    ]
    assert json.loads(caller.on_close())["sequenceNumber"] == "5"


def test_our_own_serializer_understands_the_caller() -> None:
    """Start, audio, key and stop, as the agent's side of this library reads them."""
    caller, agent = protocol(), TwilioFrameSerializer()
    messages = [*caller.on_open(), *caller.encode_audio(PCM), caller.encode_dtmf("#"), caller.on_close()]
    frames = [frame for message in messages for frame in agent.decode(message)]
    start, *audio, key, end = frames
    assert isinstance(start, StartFrame)
    assert (start.stream_id, start.call_id, start.account_id) == (SID, "CA2", "AC3")
    assert start.parameters == {"name": "Ann"}
    assert b"".join(frame.audio for frame in audio if isinstance(frame, AudioFrame)) == ulaw_to_pcm(pcm_to_ulaw(PCM))
    assert key == DTMFFrame(digit="#")
    assert isinstance(end, EndFrame)


def test_the_caller_understands_our_own_serializer() -> None:
    """Audio, a mark that comes back when it was played, and a clear."""
    caller, agent = protocol(), TwilioFrameSerializer()
    for message in caller.on_open():
        agent.decode(message)
    (audio,) = agent.encode(AudioFrame(audio=PCM[:320], sample_rate=8000))
    assert list(caller.decode(audio)) == [AudioChunk(ulaw_to_pcm(pcm_to_ulaw(PCM[:320])), sample_rate=8000)]
    (mark,) = agent.encode(MarkFrame(mark="here"))
    (reply,) = caller.decode(mark)
    assert isinstance(reply, Reply)
    assert reply.when_played
    assert callable(reply.messages)
    assert list(agent.decode(str(reply.messages()))) == [MarkFrame(mark="here")]
    (clear,) = agent.encode(InterruptionFrame())
    assert list(caller.decode(clear)) == [PlaybackCleared()]


def test_ids_are_made_up_unless_given() -> None:
    """Each in the provider's form, and a fresh copy keeps them but begins to count anew."""
    made = TwilioMediaStreamProtocol()
    assert [len(sid) for sid in (made.stream_sid, made.call_sid, made.account_sid)] == [34] * 3
    made.on_open()
    copy = made.fresh()
    assert copy.stream_sid == made.stream_sid
    assert json.loads(copy.on_open()[1])["sequenceNumber"] == "1"


def test_another_stream_is_refused() -> None:
    """As the provider would."""
    message = json.dumps({"event": "media", "streamSid": "MZ9", "media": {"payload": ""}})
    with pytest.raises(RemoteProtocolError, match="this stream is MZ1"):
        protocol().decode(message)


def test_other_events_are_handed_on() -> None:
    """An agent may send more than a provider knows."""
    messages: list[JSONValue] = [{"event": "custom", "a": 1}, {"a": 1}, {"event": None}]
    for message in messages:
        assert list(protocol().decode(json.dumps(message))) == [AgentMessage(message)]


def test_the_callers_format() -> None:
    """8 kHz mono, continuously, keys included; there is no message that stops the agent."""
    caller = protocol()
    assert caller.input_format == AudioFormat(8000)
    assert caller.is_continuous
    assert caller.agent_capabilities.dtmf
    assert not caller.agent_capabilities.interruption
    with pytest.raises(ValueError, match="one of 0123456789"):
        caller.encode_dtmf("12")


@given(
    st.sampled_from(["media", "mark", "clear", "stop", "", "x"]),
    st.sampled_from([SID, "MZ9", None, 7]),
    st.one_of(
        st.none(),
        st.integers(),
        st.dictionaries(
            st.sampled_from(["payload", "name"]), st.none() | st.integers() | st.text(max_size=6), max_size=2
        ),
    ),
)
def test_any_message_is_read_or_refused(event: str, sid: object, inner: object) -> None:
    """A RemoteProtocolError, and nothing else."""
    message = json.dumps({"event": event, "streamSid": sid, "media": inner, "mark": inner})
    with contextlib.suppress(RemoteProtocolError):
        protocol().decode(message)
