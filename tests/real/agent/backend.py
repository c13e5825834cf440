"""Fake voice backends over real sockets, on the bare engine: what they see is what went over the wire."""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from struct import pack
from typing import Any, TypeAlias, final

import trio
import trio_websocket
from attrs import define, field
from wsproto.utilities import LocalProtocolError

from trio_transports._nursery import open_services


@final
@define(eq=False)
class Backend:
    """One caller's connection, as the backend sees it."""

    connection: trio_websocket.WebSocketConnection
    stream: trio.SocketStream
    headers: tuple[tuple[bytes, bytes], ...] = ()
    received: list[str | bytes] = field(factory=list, init=False)

    async def receive(self) -> str | bytes:
        message: str | bytes = await self.connection.get_message()
        self.received.append(message)
        return message

    async def receive_json(self) -> dict[str, Any]:
        document = json.loads(await self.receive())
        assert isinstance(document, dict)
        return document

    async def send(self, message: str | bytes) -> None:
        await self.connection.send_message(message)

    async def send_json(self, **members: object) -> None:
        await self.send(json.dumps(members))

    async def hang_up(self, code: int = 1000, reason: str = "") -> None:
        await self.connection.aclose(code, reason)

    async def listen_until_closed(self) -> None:
        try:
            while True:
                await self.receive()
        except trio_websocket.ConnectionClosed:
            return

    async def drop(self) -> None:
        """Reset the TCP connection, as a crash would."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        await trio.aclose_forcefully(self.stream)


_ENDINGS = (
    trio_websocket.ConnectionClosed,
    trio.ClosedResourceError,
    trio.BrokenResourceError,
    LocalProtocolError,  # the bare engine answers a ping that crosses its own goodbye
)
Behaviour: TypeAlias = Callable[[Backend], Awaitable[None]]


@asynccontextmanager
async def backend(behave: Behaviour) -> AsyncIterator[str]:
    """Serve callers one after the other or at once, each by ``behave``; yields the URL."""

    async def serve_one(stream: trio.SocketStream) -> None:
        try:
            async with trio.open_nursery() as nursery:
                request = await trio_websocket.wrap_server_stream(nursery, stream)
                connection = await request.accept()
                await behave(Backend(connection, stream, tuple(request.headers)))
                await connection.aclose()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            _, rest = group.split(_ENDINGS)
            if rest is not None:
                raise rest from None
        finally:
            await trio.aclose_forcefully(stream)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with open_services() as services:

        async def serve() -> None:
            await trio.serve_listeners(serve_one, listeners)

        services.start_soon(serve, name="backend")
        yield f"ws://127.0.0.1:{port}"
