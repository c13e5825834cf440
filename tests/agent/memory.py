"""An adapter whose connection is in memory, so that the clock may be a virtual one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, final

import trio

from trio_transports.agent import (
    AgentEvent,
    AgentHungUp,
    AgentMessage,
    AudioChunk,
    PlaybackCleared,
    Reply,
    Transcript,
    TurnEnded,
    WebSocketAgentAdapter,
    WebSocketProtocol,
)
from trio_transports.errors import ConnectionClosed
from trio_transports.params import WebsocketClientParams
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session
from trio_transports.session.session import Session
from trio_transports.wire.memory import MemoryWire, memory_wire_pair

URL = "ws://agent.example"


class Plain(WebSocketProtocol):
    """Audio in binary messages, nothing else."""

    def encode_audio(self, audio: bytes) -> bytes:
        return audio

    def decode_response(self, message: str | bytes) -> AudioChunk | None:
        return AudioChunk(message) if isinstance(message, bytes) else None


class Wordy(Plain):
    """Text messages are events by their first word."""

    def decode_response(self, message: str | bytes) -> AudioChunk | None:
        if message == "bad":
            raise KeyError("audio")
        return super().decode_response(message)

    def decode_event(self, message: str | bytes) -> AgentEvent | Reply | Sequence[AgentEvent | Reply] | None:
        if isinstance(message, bytes):
            return None
        word, _, rest = message.partition(" ")
        match word:
            case "say":
                return Transcript(rest)
            case "over":
                return TurnEnded()
            case "bye":
                return AgentHungUp()
            case "clear":
                return PlaybackCleared()
            case "ping":
                return Reply(f"pong {rest}")
            case "mark":
                return Reply(lambda: [f"mark {rest}", "played"], when_played=True)
            case "fail":
                return Reply(lambda: None)  # type: ignore[arg-type,return-value]
            case _:
                return AgentMessage(message)


@final
class MemoryAdapter(WebSocketAgentAdapter):
    """``agent`` is the other end of the wire: what the adapter says is received there."""

    def __init__(self, protocol: WebSocketProtocol | None = None, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(URL, Plain() if protocol is None else protocol, **settings)
        self.agent: MemoryWire
        self.session: Session

    def _open_session(self, params: WebsocketClientParams) -> AbstractAsyncContextManager[Session]:
        return self._in_memory(params)

    @asynccontextmanager
    async def _in_memory(self, params: WebsocketClientParams) -> AsyncIterator[Session]:
        wire, self.agent = memory_wire_pair(buffer_messages=100_000)
        events: Broadcast[Event] = Broadcast()
        async with open_session(wire, params, events=events) as self.session:
            yield self.session


async def all_messages(agent: MemoryWire) -> list[tuple[float, str | bytes]]:
    """Everything the adapter sends, with its times, until it closes."""
    received = []
    while True:
        try:
            message = await agent.receive()
            received.append((trio.current_time(), message))
        except ConnectionClosed:
            return received
