"""The two ways of use, over a real socket."""

from typing import Any, ClassVar

import pytest
import trio
import trio.testing

from tests.real.agent.backend import Backend, backend
from trio_transports.agent import (
    AdapterCapabilities,
    AgentConnectionLost,
    AgentFinished,
    AudioChunk,
    WebSocketAgentAdapter,
    WebSocketProtocol,
)
from trio_transports.audio.highpass import HighPass
from trio_transports.errors import LocalProtocolError
from trio_transports.params import ReconnectPolicy, WebsocketClientParams
from trio_transports.serializers import JSONFrameSerializer

TONE = bytes(range(256)) * 40


class EchoProtocol(WebSocketProtocol):
    def encode_audio(self, audio: bytes) -> Any:  # noqa: ANN401 - the seed's own signature
        return audio

    def decode_response(self, message: Any) -> AudioChunk | None:  # noqa: ANN401 - the seed's own signature
        return AudioChunk(data=message) if isinstance(message, bytes) else None


class EchoAgentAdapter(WebSocketAgentAdapter):
    capabilities: ClassVar[AdapterCapabilities] = AdapterCapabilities(
        streaming_transcripts=False,
        native_vad=False,
        dtmf=False,
        input_formats=["pcm16/24000"],
        output_formats=["pcm16/24000"],
    )

    def __init__(self, url: str) -> None:
        super().__init__(url, EchoProtocol())


async def echo(caller: Backend) -> None:
    while True:
        await caller.send(await caller.receive())


async def test_pass_in() -> None:
    """A protocol passed in: connected, sends a chunk at once, receives it, disconnects."""
    async with backend(echo) as url:
        adapter = WebSocketAgentAdapter(url, EchoProtocol())
        async with adapter:
            await adapter.send_audio(AudioChunk(data=TONE), paced=False)
            chunk = await adapter.recv_audio(timeout=5)
            assert chunk.data == TONE
        with pytest.raises(AgentFinished):
            await adapter.recv_audio(timeout=1)


async def test_subclass_in_a_nursery_of_its_own() -> None:
    """A subclass, run in the caller's own nursery and disconnected by hand."""
    async with backend(echo) as url, trio.open_nursery() as nursery:
        adapter = EchoAgentAdapter(url)
        await nursery.start(adapter.run)
        await adapter.send_audio(AudioChunk(data=TONE))
        heard = b""
        while len(heard) < len(TONE):
            heard += (await adapter.recv_audio(timeout=5)).data
        assert heard[: len(TONE)] == TONE
        await adapter.disconnect()
        assert not adapter.is_connected


class OwnAgent(WebSocketAgentAdapter, WebSocketProtocol):
    """One class that is both: what the seed's subclasses that override encode and decode become."""

    def encode_audio(self, audio: bytes) -> list[bytes]:
        return [audio]

    def decode_response(self, message: str | bytes) -> AudioChunk | None:
        return AudioChunk(data=message) if isinstance(message, bytes) else None

    def encode_interrupt(self) -> bytes:
        return b"stop"


async def test_subclass_that_is_its_own_protocol() -> None:
    """No protocol is passed, since the adapter is one, with the capabilities of its hooks."""
    async with backend(echo) as url:
        adapter = OwnAgent(url)
        assert adapter.capabilities.interruption
        async with adapter:
            await adapter.interrupt()
            assert (await adapter.recv_audio(timeout=5)).data == b"stop"


async def test_a_protocol_is_needed() -> None:
    """An adapter without one, or with something else, cannot be made."""
    with pytest.raises(TypeError, match="WebSocketAgentAdapter needs a WebSocketProtocol"):
        WebSocketAgentAdapter("ws://127.0.0.1:1")
    with pytest.raises(TypeError, match="needs a WebSocketProtocol"):
        WebSocketAgentAdapter("ws://127.0.0.1:1", EchoProtocol)  # type: ignore[arg-type]


async def test_settings_that_cannot_work_are_refused() -> None:
    """When the adapter is made, by name, and with the reason."""
    refused: list[tuple[WebsocketClientParams, str]] = [
        (WebsocketClientParams(reconnect=ReconnectPolicy()), "reconnect is not for an agent adapter: a lost"),
        (WebsocketClientParams(serializer=JSONFrameSerializer()), "serializer is not for an agent adapter"),
        (WebsocketClientParams(audio_in_enabled=True, vad_enabled=True), "vad_enabled"),
        (WebsocketClientParams(fixed_audio_packet_size=160), "fixed_audio_packet_size"),
        (WebsocketClientParams(audio_in_enabled=True, audio_in_filter=HighPass()), "audio_in_filter"),
    ]
    for params, message in refused:
        with pytest.raises(ValueError, match=message):
            WebSocketAgentAdapter("ws://127.0.0.1:1", EchoProtocol(), params=params)
    with pytest.raises(ValueError, match="not a WebSocket URL"):
        WebSocketAgentAdapter("http://127.0.0.1:1", EchoProtocol())
    with pytest.raises(ValueError, match="max_unread_s"):
        WebSocketAgentAdapter("ws://127.0.0.1:1", EchoProtocol(), max_unread_s=0)


async def test_the_connections_own_settings_are_kept() -> None:
    """Headers and subprotocols reach the agent; a message past the limit ends the connection with its code."""
    headers = {}

    async def behave(caller: Backend) -> None:
        headers.update({name.lower(): value for name, value in caller.headers})
        await caller.send(bytes(2000))
        await caller.listen_until_closed()

    params = WebsocketClientParams(additional_headers={"Authorization": "Bearer x"}, max_message_bytes=1000)
    async with backend(behave) as url, WebSocketAgentAdapter(url, EchoProtocol(), params=params) as adapter:
        with pytest.raises(AgentConnectionLost) as lost:
            await adapter.recv_audio(timeout=5)
        assert lost.value.close_code == 1009
    assert headers[b"authorization"] == b"Bearer x"


async def test_disconnecting_while_it_connects() -> None:
    """The connection that was on its way is closed as soon as it is there."""
    async with backend(echo) as url, trio.open_nursery() as nursery:
        adapter = EchoAgentAdapter(url)
        nursery.start_soon(adapter.run)
        await trio.testing.wait_all_tasks_blocked(0.0)
        await adapter.disconnect()
        assert not adapter.is_connected


async def test_bare_connect() -> None:
    """A bare connect() is an error that says what to write."""
    adapter = EchoAgentAdapter("ws://127.0.0.1:1")
    with pytest.raises(LocalProtocolError, match=r"async with adapter:.*await nursery.start\(adapter.run\)"):
        await adapter.connect()
