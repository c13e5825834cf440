"""Every server of the library, with the same echo behind it, as attackers and healthy callers find it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final

import anycorn
import hypercorn.trio
import trio
from attrs import define
from hypercorn.config import Config

from tests.real.hosting import hosted
from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport, Session
from trio_transports.bus import WebSocketProxyServer, Worker, WorkerRunner, serve_proxies
from trio_transports.hosting import serve_asgi
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire import Wire
from trio_transports.wire.asgi import Receive, Scope, Send
from trio_transports.wire.engines import ENGINES


@define
class Found:
    """Where a host answers."""

    port: int
    path: bytes


async def echo(session: Session) -> None:
    async for frame in session.input:
        await session.output.send(frame)


PARAMS: Final = {
    "serializer": JSONFrameSerializer(),
    "audio_in_enabled": True,
    "audio_out_enabled": True,
    "audio_out_sample_rate": 16000,
    "audio_out_10ms_chunks": 2,
    "close_timeout": 1,
}


@asynccontextmanager
async def sessions(way_in: str, **params: object) -> AsyncIterator[Found]:
    async with hosted(way_in, echo, **{**PARAMS, **params}) as host:
        yield Found(int(host.url.rsplit(":", 1)[1].partition("/")[0]), b"/call")


@asynccontextmanager
async def proxies(engine: str) -> AsyncIterator[Found]:
    runner = WorkerRunner("server")

    def gateway(wire: Wire) -> WebSocketProxyServer:
        return WebSocketProxyServer(f"for {wire.peer}", websocket=wire, worker_name="far", remote_worker_name="near")

    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Worker("far"))
        ready = await nursery.start(partial(serve_proxies, runner, gateway, host="127.0.0.1", engine=engine))
        yield Found(ready.port, b"/call")
        runner.cancel()
        nursery.cancel_scope.cancel()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that leaves it to the transport to accept."""
    if scope["type"] == "websocket":
        params = AsgiWebsocketParams(**PARAMS)  # type: ignore[arg-type]
        await AsgiWebsocketTransport((scope, receive, send), params).serve(echo)
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
    else:
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})


@asynccontextmanager
async def asgi(serve: Callable[..., Awaitable[None]], config: Any) -> AsyncIterator[Found]:  # noqa: ANN401
    """That app under ``serve``, which takes the configuration of its own package."""
    stop = trio.Event()
    config.bind, config.errorlog, config.graceful_timeout = ["127.0.0.1:0"], None, 1
    async with trio.open_nursery() as nursery:
        (address, *_) = await nursery.start(partial(serve, app, config, shutdown_trigger=stop.wait))
        yield Found(int(address.rsplit(":", 1)[1]), b"/call")
        stop.set()


def serve_asgi_host() -> AbstractAsyncContextManager[Found]:
    return asgi(serve_asgi, Config())


def bare_hypercorn() -> AbstractAsyncContextManager[Found]:
    return asgi(hypercorn.trio.serve, Config())


def bare_anycorn() -> AbstractAsyncContextManager[Found]:
    return asgi(anycorn.serve, anycorn.Config())


Host = Callable[[], AbstractAsyncContextManager[Found]]

HOSTS: Final[dict[str, Host]] = {
    **{f"server, {engine}": partial(sessions, engine) for engine in ENGINES},
    "serve_proxies": partial(proxies, "direct"),
    "serve_asgi": serve_asgi_host,
}
FOREIGN: Final[dict[str, Host]] = {"a bare hypercorn": bare_hypercorn, "anycorn": bare_anycorn}
"""What else a session may run under: shown beside ours, and not held to the same."""
