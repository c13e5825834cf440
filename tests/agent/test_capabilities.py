"""What an adapter can do, and how that is found out."""

from typing import ClassVar

import pytest

from trio_transports.agent import (
    AdapterCapabilities,
    AudioChunk,
    UnsupportedCapability,
    WebSocketAgentAdapter,
    WebSocketProtocol,
)
from trio_transports.agent.protocols import OpenAIRealtimeProtocol, RawPCMProtocol, TwilioMediaStreamProtocol
from trio_transports.errors import LocalProtocolError, TransportError

URL = "ws://127.0.0.1:1"


class Plain(WebSocketProtocol):
    def encode_audio(self, audio: bytes) -> bytes:
        return audio

    def decode_response(self, message: str | bytes) -> AudioChunk | None:
        return None


class Interruptible(Plain):
    def encode_interrupt(self) -> str:
        return "stop"


class Keyed(Plain):
    def encode_dtmf(self, digit: str) -> str:
        return digit


class Declared(WebSocketAgentAdapter):
    capabilities: ClassVar[AdapterCapabilities] = AdapterCapabilities(
        streaming_transcripts=True, input_formats=["mulaw/8000"]
    )


def test_formats_may_be_given_as_a_list() -> None:
    """The seed writes lists; a frozen value keeps tuples."""
    capabilities = AdapterCapabilities(input_formats=["pcm16/24000"], output_formats=["pcm16/24000"])
    assert capabilities.input_formats == ("pcm16/24000",)


def test_a_plain_protocol_can_do_nothing_special() -> None:
    """Audio at 24 kHz both ways, and no more."""
    capabilities = WebSocketAgentAdapter(URL, Plain()).capabilities
    assert capabilities == AdapterCapabilities(input_formats=("pcm16/24000",), output_formats=("pcm16/24000",))


@pytest.mark.parametrize(("protocol", "name"), [(Interruptible(), "interruption"), (Keyed(), "dtmf")])
def test_an_overridden_hook_is_a_capability(protocol: WebSocketProtocol, name: str) -> None:
    """Nothing need be declared for what the protocol shows by itself."""
    assert getattr(WebSocketAgentAdapter(URL, protocol).capabilities, name)


def test_a_subclass_declares_for_itself() -> None:
    """A class attribute stands, and the hooks add to it."""
    capabilities = Declared(URL, Interruptible()).capabilities
    assert capabilities.streaming_transcripts
    assert capabilities.input_formats == ("mulaw/8000",)
    assert capabilities.interruption


def test_ready_protocols_speak_for_themselves() -> None:
    """A protocol's own statement depends on how it was made."""
    assert not WebSocketAgentAdapter(URL, RawPCMProtocol()).capabilities.interruption
    assert WebSocketAgentAdapter(URL, RawPCMProtocol(interrupt="stop")).capabilities.interruption
    assert WebSocketAgentAdapter(URL, OpenAIRealtimeProtocol()).capabilities.native_vad
    assert not WebSocketAgentAdapter(URL, OpenAIRealtimeProtocol(server_vad=False)).capabilities.native_vad
    assert WebSocketAgentAdapter(URL, TwilioMediaStreamProtocol()).capabilities.dtmf


def test_unsupported_capability_is_the_callers_mistake() -> None:
    """It names the adapter and the capability, and is one of the library's errors."""
    error = UnsupportedCapability("MyAdapter", "interruption", "talk over the agent")
    assert isinstance(error, LocalProtocolError)
    assert isinstance(error, TransportError)
    assert str(error) == "MyAdapter does not have the capability 'interruption': talk over the agent"
    assert error.capability == "interruption"
