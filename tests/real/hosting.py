"""The same handler behind every way in: the standalone server by each engine, and FastAPI on hypercorn."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio
from attrs import define, field
from fastapi import FastAPI, WebSocket
from hypercorn.config import Config

from trio_transports import (
    AsgiWebsocketParams,
    AsgiWebsocketTransport,
    Disconnected,
    Session,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.hosting import serve_asgi
from trio_transports.session.events import Event
from trio_transports.wire.engines import ENGINES

Handler = Callable[[Session], Awaitable[None]]

WAYS_IN: Final = (*ENGINES, "fastapi")


@define(eq=False)
class Host:
    """Where the handler answers, and what its transport told so far."""

    url: str = ""
    told: list[Event] = field(factory=list)
    _more: trio.Condition = field(factory=trio.Condition)

    async def listen(self, events: trio.abc.ReceiveChannel[Event]) -> None:
        async for event in events:
            async with self._more:
                self.told.append(event)
                self._more.notify_all()

    async def until(self, kind: type[Event], count: int = 1) -> list[Event]:
        async with self._more:
            while len(found := [event for event in self.told if isinstance(event, kind)]) < count:
                await self._more.wait()
        return found

    @property
    def ends(self) -> list[Disconnected]:
        return [event for event in self.told if isinstance(event, Disconnected)]


@asynccontextmanager
async def hosted(way_in: str, handler: Handler, **params: object) -> AsyncIterator[Host]:
    """Serve ``handler`` behind that way in while the body runs."""
    host = Host()
    async with trio.open_nursery() as nursery:
        if way_in == "fastapi":
            stop = trio.Event()
            app = _fastapi_app(handler, AsgiWebsocketParams(**params), host, nursery)  # type: ignore[arg-type]
            config = Config()
            config.bind = ["127.0.0.1:0"]
            config.graceful_timeout = 3
            serve = partial(serve_asgi, app, config, shutdown_trigger=stop.wait)
            (address, *_) = await nursery.start(serve)
            host.url = f"ws://127.0.0.1:{str(address).rsplit(':', 1)[1]}/call"
            yield host
            stop.set()
        else:
            transport = WebsocketServerTransport(
                WebsocketServerParams(**params),  # type: ignore[arg-type]
                host="127.0.0.1",
                port=0,
                engine=way_in,
            )
            nursery.start_soon(host.listen, transport.events())
            ready = await nursery.start(transport.serve, handler)
            host.url = f"ws://127.0.0.1:{ready.port}/call"
            yield host
            transport.shutdown()


def _fastapi_app(handler: Handler, params: AsgiWebsocketParams, host: Host, nursery: trio.Nursery) -> FastAPI:
    app = FastAPI()

    @app.websocket("/call")
    async def call(websocket: WebSocket) -> None:
        await websocket.accept()
        transport = AsgiWebsocketTransport(websocket, params)
        nursery.start_soon(host.listen, transport.events())
        await transport.serve(handler)

    return app
