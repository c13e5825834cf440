"""The two ways of use, over a real socket."""

from typing import Any, ClassVar

import pytest
import trio

from tests.real.agent.backend import Backend, backend
from trio_transports.agent import (
    AdapterCapabilities,
    AgentFinished,
    AudioChunk,
    WebSocketAgentAdapter,
    WebSocketProtocol,
)
from trio_transports.errors import LocalProtocolError

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


async def test_bare_connect() -> None:
    """A bare connect() is an error that says what to write."""
    adapter = EchoAgentAdapter("ws://127.0.0.1:1")
    with pytest.raises(LocalProtocolError, match=r"async with adapter:.*await nursery.start\(adapter.run\)"):
        await adapter.connect()
