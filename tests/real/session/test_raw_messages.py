"""Messages as they are, both ways, over every transport: ``send_raw``, ``messages()``, and an agent's of either."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from tests.real.asgi.fastapi_host import fastapi_echo_host
from tests.real.session.places import client_params, server_params, serving
from trio_transports import AsgiWebsocketParams, EventsLost, ReconnectPolicy, Session, WebsocketClientTransport
from trio_transports.agent import AgentMessage, AudioChunk, WebSocketAgentAdapter, WebSocketProtocol
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.protocol import Message
from trio_transports.wire.engines import ENGINES

WORDS: Sequence[Message] = ("text, äöü 🎧", b"\x00\xffbytes", "", b"", "text again", b"and bytes")
"""No dialect's: two of each kind follow each other somewhere."""
WELCOME, BYE = "welcome", "bye"
DEADLINE_S = 20

hosts = pytest.mark.parametrize("host", [*ENGINES, "asgi"])
engines = pytest.mark.parametrize("engine", list(ENGINES))


async def answer(session: Session) -> None:
    """Send back every message as it is; hang up when told to, with a code after which a client comes back."""
    messages = session.messages()
    await session.output.send_raw(WELCOME)
    async for message in messages:
        assert not isinstance(message, EventsLost)
        if message == BYE:
            await session.aclose(1012, "again")
        else:
            await session.output.send_raw(message)


@asynccontextmanager
async def answering(host: str) -> AsyncIterator[str]:
    """The address of a server of that kind."""
    if host == "asgi":
        params = AsgiWebsocketParams(serializer=JSONFrameSerializer(), max_malformed=1000)
        async with fastapi_echo_host(answer, params) as place:
            yield place.url
    else:
        async with serving(answer, server_params(max_malformed=1000), engine=host) as place:
            yield place.url


async def next_messages(messages: trio.abc.ReceiveChannel[Message | EventsLost]) -> list[Message | EventsLost]:
    return [await messages.receive() for _ in WORDS]


async def welcomed(messages: trio.abc.ReceiveChannel[Message | EventsLost]) -> None:
    assert await messages.receive() == WELCOME


@hosts
@engines
async def test_both_ways(host: str, engine: str) -> None:
    """Text and bytes arrive as they were sent, in order, twice over, and a subscription ends with its session."""
    with trio.fail_after(DEADLINE_S):
        async with answering(host) as url:
            transport = WebsocketClientTransport(url, client_params(max_malformed=1000), engine=engine)
            everything = transport.messages()
            async with transport.session() as session:
                messages = session.messages()
                await welcomed(messages)
                for _ in range(2):
                    for word in WORDS:
                        await session.output.send_raw(word)
                    assert await next_messages(messages) == list(WORDS)
            with pytest.raises(trio.EndOfChannel):
                await messages.receive()
            assert [message async for message in everything] == [WELCOME, *WORDS, *WORDS]


@hosts
@engines
async def test_after_a_loss(host: str, engine: str) -> None:
    """A reconnecting client's session and its subscription go on over two connections that were lost."""
    policy = ReconnectPolicy(initial_delay=0, jitter=0)
    with trio.fail_after(DEADLINE_S):
        async with answering(host) as url:
            params = client_params(reconnect=policy, max_malformed=1000)
            async with WebsocketClientTransport(url, params, engine=engine).session() as session:
                messages = session.messages()
                for losses in range(3):
                    await welcomed(messages)
                    for word in WORDS:
                        await session.output.send_raw(word)
                    assert await next_messages(messages) == list(WORDS)
                    assert session.statistics().reconnects == losses
                    if losses < 2:
                        await session.output.send_raw(BYE)


class AnyWords(WebSocketProtocol):
    """An agent of which everything is a message."""

    def encode_audio(self, audio: bytes) -> bytes:
        return audio

    def decode_response(self, message: Message) -> AudioChunk | None:
        return None

    def decode_event(self, message: Message) -> AgentMessage:
        return AgentMessage(message)


@hosts
async def test_an_agents(host: str) -> None:
    """An adapter sends and hears messages as they are, twice over."""
    with trio.fail_after(DEADLINE_S):
        async with answering(host) as url, WebSocketAgentAdapter(url, AnyWords()) as agent:
            assert await agent.receive() == AgentMessage(WELCOME)
            for _ in range(2):
                for word in WORDS:
                    await agent.send_message(word)
                for word in WORDS:
                    assert await agent.receive() == AgentMessage(word)
