"""The base class of protocols: what its hooks do when nobody overrides them, and what they may return."""

from collections.abc import Sequence

import pytest

from trio_transports.agent import AgentMessage, AudioChunk, Reply, Transcript, TurnEnded, WebSocketProtocol
from trio_transports.agent.protocol import outgoing
from trio_transports.audio.format import AudioFormat


class Minimal(WebSocketProtocol):
    def encode_audio(self, audio: bytes) -> bytes:
        return audio

    def decode_response(self, message: str | bytes) -> AudioChunk | None:
        return AudioChunk(message) if isinstance(message, bytes) else None


class Returning(Minimal):
    def __init__(self, response: object, event: object = None) -> None:
        self.response = response
        self.event = event

    def decode_response(self, message: str | bytes) -> AudioChunk | None:
        return self.response  # type: ignore[return-value]

    def decode_event(self, message: str | bytes) -> Sequence[Transcript]:
        return self.event  # type: ignore[return-value]


def test_two_methods_are_enough() -> None:
    """Every hook has a default that works."""
    protocol = Minimal()
    assert protocol.input_format == AudioFormat(24000)
    assert protocol.agent_capabilities is None
    assert not protocol.is_continuous
    hooks = [protocol.on_open(), protocol.on_close(), protocol.encode_end(), protocol.encode_interrupt()]
    assert hooks == [()] * 4
    assert protocol.encode_dtmf("1") == ()
    assert list(protocol.decode(bytes(4))) == [AudioChunk(bytes(4))]
    assert list(protocol.decode("text")) == []


def test_two_methods_are_needed() -> None:
    """A protocol that lacks one cannot be made."""
    with pytest.raises(TypeError, match="abstract"):
        WebSocketProtocol()  # type: ignore[abstract]


def test_one_message_may_be_several_things() -> None:
    """Audio comes first, then events, each as one or several."""
    chunks = [AudioChunk(bytes(2)), AudioChunk(bytes(4))]
    protocol = Returning(chunks, (Transcript("a"), TurnEnded()))
    assert list(protocol.decode("")) == [*chunks, Transcript("a"), TurnEnded()]
    reply = Reply("pong")
    assert list(Returning(chunks[0], reply).decode("")) == [chunks[0], reply]


@pytest.mark.parametrize("wrong", [b"\0\0", "text", 7, [b"\0\0"], bytearray(2)])
def test_audio_that_is_no_chunk_is_an_error(wrong: object) -> None:
    """Returning bytes where a chunk is meant is the mistake to expect; the error says what is wanted."""
    with pytest.raises(TypeError, match=r"Returning.decode_response must return AudioChunk, a sequence"):
        Returning(wrong).decode("")


def test_an_event_that_is_none_is_an_error() -> None:
    """A chunk is not an event."""
    with pytest.raises(TypeError, match=r"Returning.decode_event must return Transcript or .*not AudioChunk"):
        Returning(None, AudioChunk(b"")).decode("")


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ("a", ("a",)),
        (b"a", (b"a",)),
        (bytearray(b"a"), (b"a",)),
        (memoryview(b"a"), (b"a",)),
        (["a", b"b", bytearray(b"c")], ("a", b"b", b"c")),
        ((), ()),
    ],
)
def test_what_an_encoding_hook_may_return(given: object, messages: tuple[str | bytes, ...]) -> None:
    """One message or several, text or anything like bytes."""
    assert outgoing(given, "here") == messages  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, 7, {"a": 1}, [None], ["a", 7]])
def test_what_an_encoding_hook_may_not_return(wrong: object) -> None:
    """The error names the hook."""
    with pytest.raises(TypeError, match=r"^here must return str"):
        outgoing(wrong, "here")  # type: ignore[arg-type]


def test_messages_may_hold_any_json() -> None:
    """An AgentMessage hands on what the protocol parsed."""
    assert AgentMessage({"a": [1, None]}).message == {"a": [1, None]}
