"""A server on loopback for a test, and raw peers to trouble it with."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, evolve, field

from trio_transports import (
    AudioFrame,
    Disconnected,
    ServerReady,
    Session,
    WebsocketClientParams,
    WebsocketClientTransport,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.session.events import Event
from trio_transports.transports.server import Handler

RATE = 16000
UPGRADE = (
    b"GET /call?token=t HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def settings(changes: dict[str, object]) -> dict[str, Any]:
    """Both directions on, 20 ms chunks, JSON, and these changes."""
    return {
        "serializer": JSONFrameSerializer(),
        "audio_in_enabled": True,
        "audio_out_enabled": True,
        "audio_out_sample_rate": RATE,
        "audio_out_10ms_chunks": 2,
        **changes,
    }


def server_params(**changes: object) -> WebsocketServerParams:
    return WebsocketServerParams(**settings(changes))


def client_params(**changes: object) -> WebsocketClientParams:
    return WebsocketClientParams(**settings(changes))


async def upgraded(port: int) -> trio.SocketStream:
    """A raw connection past the upgrade, for bytes of one's own."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(UPGRADE + b"\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += await stream.receive_some(1000)
    assert answer.startswith(b"HTTP/1.1 101")
    return stream


async def echo(session: Session) -> None:
    """Answer every frame of the peer's with itself."""
    async for frame in session.input:
        await session.output.send(frame)


@define(eq=False)
class Place:
    """A running server and what it tells."""

    transport: WebsocketServerTransport
    ready: ServerReady
    told: list[Event] = field(factory=list)
    serving: trio.CancelScope = field(factory=trio.CancelScope)
    """Around ``serve``."""
    _more: trio.Condition = field(factory=trio.Condition)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.ready.port}/call"

    def client(self, params: WebsocketClientParams | None = None, **changes: object) -> WebsocketClientTransport:
        chosen = client_params(**changes) if params is None else evolve(params, **changes)  # type: ignore[arg-type]
        return WebsocketClientTransport(self.url, chosen, engine=self.transport.engine)

    async def raw(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.ready.port)

    async def upgraded(self) -> trio.SocketStream:
        return await upgraded(self.ready.port)

    async def listen(self) -> None:
        async with self.transport.events() as events:
            async for event in events:
                async with self._more:
                    self.told.append(event)
                    self._more.notify_all()

    async def serve(self, handler: Handler, *, task_status: trio.TaskStatus[ServerReady]) -> None:
        with self.serving:
            await self.transport.serve(handler, task_status=task_status)

    async def ended(self, count: int = 1) -> list[Disconnected]:
        """Wait for that many ends."""
        async with self._more:
            while len(ends := self.ends()) < count:
                await self._more.wait()
        return ends

    def ends(self) -> list[Disconnected]:
        return [event for event in self.told if isinstance(event, Disconnected)]

    async def answers(self) -> None:
        """Show that the server still serves."""
        async with self.client().session() as session:
            frame = AudioFrame(audio=bytes(640), sample_rate=RATE)
            await session.output.send(frame)
            async for heard in session.input:
                if isinstance(heard, AudioFrame):
                    return
        raise AssertionError("the server no longer answers")


@asynccontextmanager
async def serving(
    handler: Handler = echo,
    params: WebsocketServerParams | None = None,
    *,
    engine: str = "trio-websocket",
    again: WebsocketServerTransport | None = None,
) -> AsyncIterator[Place]:
    """Serve while the body runs, ``again`` or on a transport of its own; then shut down and wait for the end."""
    transport = again or WebsocketServerTransport(params or server_params(), host="127.0.0.1", port=0, engine=engine)
    async with trio.open_nursery() as nursery:
        listener = Place(transport, ServerReady(()))
        nursery.start_soon(listener.listen)
        await trio.lowlevel.checkpoint()
        listener.ready = await nursery.start(listener.serve, handler)
        yield listener
        transport.shutdown()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def tasks() -> int:
    """Tasks of the whole run, system tasks left out."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    waiting, count = list(root.child_nurseries), 0
    while waiting:
        nursery = waiting.pop()
        for task in nursery.child_tasks:
            count += 1
            waiting += task.child_nurseries
    return count
