"""A handler behind a FastAPI endpoint, under ``serve_asgi`` or a bare hypercorn."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import final

import trio
from attrs import frozen
from fastapi import FastAPI, WebSocket

from tests.real.asgi.hosts import Hosted, hosted
from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport, Session
from trio_transports.session.events import Event


@final
@frozen(eq=False)
class FastAPIHost:
    url: str
    events: trio.MemoryReceiveChannel[Event]
    """What every session's transport told, in order."""
    server: Hosted


@asynccontextmanager
async def fastapi_echo_host(
    handler: Callable[[Session], Awaitable[None]],
    params: AsgiWebsocketParams,
    *,
    guarded: bool = True,
    app_accepts: bool = False,
    graceful_timeout: float = 1.0,
) -> AsyncIterator[FastAPIHost]:
    """Serve ``handler`` for as long as the body runs. ``app_accepts``: the endpoint accepts, not the transport."""
    tell, told = trio.open_memory_channel[Event](1000)
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        if app_accepts:
            await websocket.accept()
        transport = AsgiWebsocketTransport(websocket, params)
        events = transport.events()

        async def forward() -> None:
            # It ends with the session, which tells its end last of all: also when it is cancelled.
            with trio.CancelScope(shield=True):
                async for event in events:
                    tell.send_nowait(event)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(forward)
            await transport.serve(handler)

    async with hosted(app, guarded=guarded, graceful_timeout=graceful_timeout) as server:
        yield FastAPIHost(f"ws://127.0.0.1:{server.port}/ws", told, server)
