"""JSON with base64 audio under keys of one's choice."""

import contextlib
import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.agent import (
    AgentHungUp,
    AgentMessage,
    AudioChunk,
    Transcript,
    TurnEnded,
)
from trio_transports.agent.protocol import Heard
from trio_transports.agent.protocols import JSONAudioProtocol
from trio_transports.audio.format import AudioFormat
from trio_transports.errors import LocalProtocolError, RemoteProtocolError

PCM = bytes(range(200))


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def hear(protocol: JSONAudioProtocol, **document: object) -> list[Heard]:
    return list(protocol.decode(json.dumps(document)))


def test_the_default_shape_both_ways() -> None:
    """What it sends it would hear."""
    protocol = JSONAudioProtocol()
    message = protocol.encode_audio(PCM)
    assert json.loads(message) == {"type": "audio", "audio": b64(PCM)}
    assert list(protocol.decode(message)) == [AudioChunk(PCM)]
    assert list(protocol.decode(message.encode())) == [AudioChunk(PCM)]


def test_keys_are_paths() -> None:
    """Sent and received audio may stand anywhere, each in its own place, and the template is not written to."""
    template = {"event": "media", "media": {"track": "in"}}
    protocol = JSONAudioProtocol(audio_key="media.payload", template=template, agent_audio_key="a.b.c")
    for _ in range(2):
        sent = json.loads(protocol.encode_audio(PCM))
        assert sent == {"event": "media", "media": {"track": "in", "payload": b64(PCM)}}
    assert template == {"event": "media", "media": {"track": "in"}}
    assert hear(protocol, a={"b": {"c": b64(PCM)}}) == [AudioChunk(PCM)]
    assert hear(protocol, a={"b": "c"}) == [AgentMessage({"a": {"b": "c"}})]


def test_transcripts_and_times() -> None:
    """With audio they are the chunk's; a transcript alone is an event."""
    protocol = JSONAudioProtocol(start_key="t.start", end_key="t.end", output_format=AudioFormat(8000))
    assert hear(protocol, audio=b64(PCM), transcript="hi", t={"start": 1, "end": 1.5}) == [
        AudioChunk(PCM, "hi", 1.0, 1.5, sample_rate=8000)
    ]
    assert hear(protocol, transcript="hi") == [Transcript("hi")]


def test_turn_end_and_hang_up() -> None:
    """A message that has all the members says so, also one that has audio."""
    protocol = JSONAudioProtocol(turn_end={"type": "end", "ok": True}, hang_up={"status.state": "gone"})
    assert hear(protocol, type="end", ok=True, more=1) == [TurnEnded()]
    assert hear(protocol, type="end", ok=False) == [AgentMessage({"type": "end", "ok": False})]
    assert hear(protocol, audio=b64(PCM), type="end", ok=True) == [AudioChunk(PCM), TurnEnded()]
    assert hear(protocol, status={"state": "gone"}) == [AgentHungUp()]


def test_both_hooks_say_what_decode_says() -> None:
    """Reading in one pass is the same as reading twice."""
    protocol, message = JSONAudioProtocol(turn_end={"last": True}), json.dumps({"audio": b64(PCM), "last": True})
    assert [protocol.decode_response(message), *protocol.decode_event(message)] == list(protocol.decode(message))


def test_samples_may_be_cut() -> None:
    """A message may end inside a sample."""
    protocol = JSONAudioProtocol()
    heard = [item for cut in (PCM[:3], PCM[3:4], PCM[4:]) for item in hear(protocol, audio=b64(cut))]
    assert b"".join(item.data for item in heard if isinstance(item, AudioChunk)) == PCM
    assert hear(protocol.fresh(), audio=b64(b"\x01\x02")) == [AudioChunk(b"\x01\x02")]


def test_documents_to_send() -> None:
    """Opening, closing, end and interruption, where the agent has such."""
    protocol = JSONAudioProtocol(opening=[{"hello": 1}], closing=[{"bye": 1}], end={"done": 1}, interrupt={"stop": 1})
    sent = [protocol.on_open(), protocol.on_close(), protocol.encode_end(), protocol.encode_interrupt()]
    assert sent == [['{"hello":1}'], ['{"bye":1}'], ['{"done":1}'], ['{"stop":1}']]
    plain = JSONAudioProtocol()
    assert not any([plain.on_open(), plain.on_close(), plain.encode_end(), plain.encode_interrupt()])
    assert protocol.agent_capabilities.interruption
    assert not plain.agent_capabilities.interruption


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ("not json", "$"),
        ("[1]", "$"),
        ('{"audio": 7}', "audio"),
        ('{"audio": "***"}', "audio"),
        ('{"audio": "", "transcript": 7}', "transcript"),
        ('{"audio": "", "start": true}', "start"),
        (b"\xff\xfe", "$"),
    ],
)
def test_malformed_messages_name_the_place(message: str | bytes, path: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(RemoteProtocolError) as caught:
        JSONAudioProtocol(start_key="start").decode(message)
    assert caught.value.path == path


@pytest.mark.parametrize("key", ["", ".", "a..b", "a."])
def test_keys_are_checked(key: str) -> None:
    """A path has a name in every place."""
    with pytest.raises(ValueError, match="must be a path like"):
        JSONAudioProtocol(audio_key=key)


def test_a_template_in_the_way_is_told() -> None:
    """A member that is no object cannot hold the audio."""
    with pytest.raises(TypeError, match="'media' is 'text' in the template"):
        JSONAudioProtocol(audio_key="media.payload", template={"media": "text"})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["audio", "a", "t"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.one_of(st.text(max_size=40), st.binary(max_size=40), VALUES.map(json.dumps)))
def test_any_message_is_read_or_refused(message: str | bytes) -> None:
    """A RemoteProtocolError, and nothing else."""
    protocol = JSONAudioProtocol(turn_end={"t": 1}, start_key="a.t", transcript_key="a", audio_key="y")
    with contextlib.suppress(RemoteProtocolError):
        protocol.decode(message)


def test_what_json_cannot_hold_is_told_when_the_protocol_is_made() -> None:
    """And where it stands."""
    with pytest.raises(LocalProtocolError, match=r"end\.a"):
        JSONAudioProtocol(end={"a": {1, 2}})
    with pytest.raises(TypeError, match="opening must be a list of dicts"):
        JSONAudioProtocol(opening={"a": 1})  # type: ignore[arg-type]
