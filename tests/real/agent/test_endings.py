"""Every way in which an agent can fail to answer, at every point, told apart."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import NoReturn

import pytest
import trio
from attrs import evolve

from tests.real.agent.backend import Backend, backend
from trio_transports._nursery import open_services
from trio_transports.agent import (
    AgentConnectionLost,
    AgentFinished,
    AgentOutcome,
    AgentSilent,
    AgentUnreachable,
    AudioChunk,
    TurnRules,
    WebSocketAgentAdapter,
)
from trio_transports.agent.protocols import RawPCMProtocol
from trio_transports.errors import HandshakeRejected
from trio_transports.params import WebsocketClientParams

DEADLINE_S = 60
VOICE = b"\x10\x10" * 480
PATIENT = WebsocketClientParams(connect_timeout=30, close_timeout=10, ping_interval=0.2, ping_timeout=4)
QUICK = evolve(PATIENT, close_timeout=0.5, ping_timeout=0.3)
RULES = TurnRules(first_audio_timeout_s=30, tail_silence_s=3, in_real_time=False)


def adapter_for(url: str, params: WebsocketClientParams = PATIENT) -> WebSocketAgentAdapter:
    return WebSocketAgentAdapter(url, RawPCMProtocol(end="end"), paced=False, params=params)


@asynccontextmanager
async def raw_server(behave: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """A TCP server that need not know what a WebSocket is."""

    async def serve_one(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await behave(stream)
            except trio.BrokenResourceError:
                return  # the adapter gave up

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with open_services() as services:
        services.start_soon(partial(trio.serve_listeners, serve_one, listeners), name="raw server")
        yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}"


async def upgrade(stream: trio.SocketStream) -> None:
    """Answer a WebSocket handshake by hand."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += await stream.receive_some(4096)
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
    assert key is not None
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
    await stream.send_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


# Never connected


async def never_connected(url: str, params: WebsocketClientParams = PATIENT) -> AgentUnreachable:
    with trio.fail_after(DEADLINE_S), pytest.raises(AgentUnreachable) as unreachable:
        async with adapter_for(url, params):
            pytest.fail("connected")
    error = unreachable.value
    assert error.peer == url
    assert error.close_code is None
    assert error.__cause__ is not None
    return error


async def test_nobody_listens() -> None:
    """A refused connection is said at once, with its cause."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    error = await never_connected(f"ws://127.0.0.1:{port}")
    assert error.elapsed_s < 10


async def test_a_refused_handshake() -> None:
    """The status and the body are in the cause."""

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nno key!")
        await trio.sleep(0.2)

    async with raw_server(refuse) as url:
        error = await never_connected(url)
    assert isinstance(error.__cause__, HandshakeRejected)
    assert error.__cause__.status == 403
    assert "403: no key!" in str(error)


async def test_a_handshake_that_never_ends() -> None:
    """Is given up after connect_timeout."""

    async def wait(_stream: trio.SocketStream) -> None:
        await trio.sleep(3600)

    async with raw_server(wait) as url:
        error = await never_connected(url, evolve(PATIENT, connect_timeout=0.5))
    assert 0.4 < error.elapsed_s < 8  # of 10, by default
    assert "connect_timeout" in str(error)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"])
async def test_a_server_of_another_kind(answer: bytes) -> None:
    """One that hangs up, or speaks something else, is no agent."""

    async def speak(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        if answer:
            await stream.send_all(answer)

    async with raw_server(speak) as url:
        await never_connected(url)


async def test_the_same_in_a_nursery() -> None:
    """nursery.start raises it as it is."""
    async with raw_server(lambda stream: stream.aclose()) as url:
        adapter = adapter_for(url)
        with pytest.raises(ExceptionGroup) as group:
            async with trio.open_nursery() as nursery:
                await nursery.start(adapter.run)
        assert group.group_contains(AgentUnreachable, depth=1)


# Ended, at every point

Leave = Callable[[Backend], Awaitable[None]]


async def close(code: int, caller: Backend) -> None:
    await caller.hang_up(code, "reason")


WAYS: dict[str, tuple[Leave, type[AgentOutcome], int]] = {
    "normal": (partial(close, 1000), AgentFinished, 1000),
    "going away": (partial(close, 1001), AgentFinished, 1001),
    "internal error": (partial(close, 1011), AgentConnectionLost, 1011),
    "own code": (partial(close, 4001), AgentConnectionLost, 4001),
    "reset": (Backend.drop, AgentConnectionLost, 1006),
}
POINTS = ["connected", "first audio", "whole turn", "answering", "answered"]


async def listen(adapter: WebSocketAgentAdapter, heard: bytearray) -> NoReturn:
    while True:
        heard += (await adapter.recv_audio(timeout=30)).data


async def go_on_until(point: str, caller: Backend) -> None:
    """Be a backend up to that point."""
    reached = iter(POINTS)
    if next(reached) != point:
        await caller.receive()
        if next(reached) != point:
            while await caller.receive() != "end":
                pass
            for _ in range({"whole turn": 0, "answering": 3, "answered": 10}[point]):
                await caller.send(VOICE)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("point", POINTS)
async def test_the_end_of_the_stream(point: str, way: str) -> None:
    """Wherever it ends, all that came is read, and then how it ended is told: peer, time, code. Nothing hangs."""
    leave, outcome, code = WAYS[way]
    left = trio.Event()

    async def behave(caller: Backend) -> None:
        await go_on_until(point, caller)
        await leave(caller)
        left.set()

    with trio.fail_after(DEADLINE_S):
        async with backend(behave) as url:
            began_s = trio.current_time()
            adapter = adapter_for(url)
            async with adapter:
                with suppress(outcome):
                    for _ in range(3):
                        await adapter.send_audio(AudioChunk(VOICE))
                    await adapter.end_turn()
                await left.wait()
                heard = bytearray()
                with pytest.raises(outcome) as ended:
                    await listen(adapter, heard)
                if way != "reset":  # a reset may take what was in flight with it
                    assert heard == VOICE * {"answering": 3, "answered": 10}.get(point, 0)
            assert isinstance(ended.value, AgentOutcome)
            assert (ended.value.peer, ended.value.close_code) == (url, code)
            assert 0 < ended.value.elapsed_s <= trio.current_time() - began_s
            assert not adapter.is_connected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("point", POINTS)
async def test_the_end_of_the_stream_in_a_call(point: str, way: str) -> None:
    """A call returns what was complete, and raises what was not."""
    leave, outcome, code = WAYS[way]
    returned = trio.Event()

    async def behave(caller: Backend) -> None:
        await go_on_until(point, caller)
        if point == "answered":
            await returned.wait()
        await leave(caller)

    with trio.fail_after(DEADLINE_S):
        async with backend(behave) as url, adapter_for(url) as adapter:
            if point == "answered" or (point == "answering" and outcome is AgentFinished):
                answer = await adapter.call(VOICE * 3, rules=RULES)
                returned.set()
                assert answer.ended_by == ("finished" if point == "answering" else "tail_silence")
                assert answer.audio.data == VOICE * (3 if point == "answering" else 10)
            else:
                with pytest.raises(outcome) as ended:
                    await adapter.call(VOICE * 3, rules=RULES)
                assert isinstance(ended.value, AgentOutcome)
                assert ended.value.close_code == code


# Silent, pinging, dead


async def test_a_silent_agent() -> None:
    """It answers pings, so it is silent and not dead, for as long as one cares to wait."""
    async with backend(Backend.listen_until_closed) as url, adapter_for(url) as adapter:
        for _ in range(2):
            with pytest.raises(AgentSilent) as silent:
                await adapter.recv_audio(timeout=2.5)
            assert (silent.value.messages, silent.value.dead_after_s) == (0, 4.2)
        assert adapter.is_connected


async def test_a_pinging_but_silent_agent() -> None:
    """WebSocket pings keep it alive, messages are counted; neither is audio."""
    sent = 0

    async def behave(caller: Backend) -> None:
        nonlocal sent
        while True:
            await caller.connection.ping()
            await caller.send("still thinking")
            sent += 1
            await trio.sleep(0.1)

    async with backend(behave) as url, adapter_for(url) as adapter:
        sent_before = sent
        with pytest.raises(AgentSilent) as silent:
            await adapter.recv_audio(timeout=2)
        assert silent.value.messages > 0
        assert silent.value.messages == pytest.approx(sent - sent_before, abs=2), "some may be on their way"
        assert adapter.is_connected


async def test_a_dead_agent() -> None:
    """A connection that stands and answers no ping is lost, long before the wait is over."""

    async def behave(stream: trio.SocketStream) -> None:
        await upgrade(stream)
        await trio.sleep(3600)

    with trio.fail_after(DEADLINE_S):
        async with raw_server(behave) as url, adapter_for(url, QUICK) as adapter:
            with pytest.raises(AgentConnectionLost, match="pong") as lost:
                await adapter.recv_audio(timeout=60)
            assert lost.value.close_code == 1006
            assert 0.4 < lost.value.elapsed_s < 8  # of 10, by default


async def test_a_dead_agent_during_a_call() -> None:
    """The same, whatever the call was waiting for."""

    async def behave(stream: trio.SocketStream) -> None:
        await upgrade(stream)
        await trio.sleep(3600)

    with trio.fail_after(DEADLINE_S):
        async with raw_server(behave) as url, adapter_for(url, QUICK) as adapter:
            with pytest.raises(AgentConnectionLost, match="pong"):
                await adapter.call(VOICE, rules=TurnRules(first_audio_timeout_s=60))


async def test_leaving_a_dead_agent() -> None:
    """Takes as long as close_timeout says, and not the 2 s that it is by default."""

    async def behave(stream: trio.SocketStream) -> None:
        await upgrade(stream)
        await trio.sleep(3600)

    with trio.fail_after(DEADLINE_S):
        async with raw_server(behave) as url, adapter_for(url, evolve(QUICK, ping_interval=None, close_timeout=3)):
            start = trio.current_time()
        assert 2.9 < trio.current_time() - start < 10


async def test_the_agent_sees_a_clean_end() -> None:
    """Leaving closes with 1000, leaving by an error with 1001."""
    seen, codes = trio.open_memory_channel[int](2)

    async def behave(caller: Backend) -> None:
        await caller.listen_until_closed()
        assert caller.connection.closed is not None
        seen.send_nowait(caller.connection.closed.code)

    with trio.fail_after(DEADLINE_S):
        async with backend(behave) as url:
            async with adapter_for(url):
                pass
            assert await codes.receive() == 1000
            with pytest.raises(ZeroDivisionError):
                async with adapter_for(url):
                    raise ZeroDivisionError
            assert await codes.receive() == 1001
