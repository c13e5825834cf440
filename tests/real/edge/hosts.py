"""Every server of the library, with the same echo behind it, as attackers and healthy callers find it."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import anycorn
import hypercorn.trio
import trio
import trustme
from attrs import define
from fastapi import FastAPI, WebSocket
from hypercorn.config import Config

from tests.real.hosting import hosted
from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport, Session
from trio_transports.bus import ProxySettings, WebSocketProxyServer, Worker, WorkerRunner, serve_proxies
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
    tls: ssl.SSLContext | None = None
    """What a client speaks TLS by, where it must."""


async def echo(session: Session) -> None:
    async for frame in session.input:
        await session.output.send(frame)


PARAMS: Final = {
    "serializer": JSONFrameSerializer(),
    "audio_in_enabled": True,
    "audio_out_enabled": True,
    "audio_out_sample_rate": 16000,
    "audio_out_10ms_chunks": 2,
    "close_timeout": 10,
}


@asynccontextmanager
async def sessions(way_in: str, **params: object) -> AsyncIterator[Found]:
    async with hosted(way_in, echo, **{**PARAMS, **params}) as host:
        yield Found(int(host.url.rsplit(":", 1)[1].partition("/")[0]), b"/call")


@asynccontextmanager
async def secured_sessions(way_in: str) -> AsyncIterator[Found]:
    authority = trustme.CA()
    server_side, client_side = (
        ssl.create_default_context(side) for side in (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH)
    )
    authority.issue_cert("localhost").configure_cert(server_side)
    authority.configure_trust(client_side)
    async with sessions(way_in, ssl_context=server_side) as found:
        found.tls = client_side
        yield found


@asynccontextmanager
async def proxies(engine: str) -> AsyncIterator[Found]:
    runner = WorkerRunner("server")

    def gateway(wire: Wire) -> WebSocketProxyServer:
        return WebSocketProxyServer(f"for {wire.peer}", websocket=wire, worker_name="far", remote_worker_name="near")

    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Worker("far"))
        settings = ProxySettings(max_message_bytes=1024 * 1024)
        serve = partial(serve_proxies, runner, gateway, host="127.0.0.1", engine=engine, settings=settings)
        ready = await nursery.start(serve)
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
async def asgi(
    serve: Callable[..., Awaitable[None]],
    config: Any,  # noqa: ANN401
    app: Callable[..., Awaitable[None]] = app,
) -> AsyncIterator[Found]:
    """That app under ``serve``, which takes the configuration of its own package."""
    stop = trio.Event()
    config.bind, config.errorlog, config.graceful_timeout = ["127.0.0.1:0"], None, 1
    async with trio.open_nursery() as nursery:
        (address, *_) = await nursery.start(partial(serve, app, config, shutdown_trigger=stop.wait))
        yield Found(int(address.rsplit(":", 1)[1]), b"/call")
        stop.set()


def fastapi_host() -> AbstractAsyncContextManager[Found]:
    """As the guide has it: the transport accepts."""
    api = FastAPI()

    @api.websocket("/call")
    async def call(websocket: WebSocket) -> None:
        await AsgiWebsocketTransport(websocket, AsgiWebsocketParams(**PARAMS)).serve(echo)  # type: ignore[arg-type]

    return asgi(serve_asgi, Config(), api)


def serve_asgi_host() -> AbstractAsyncContextManager[Found]:
    return asgi(serve_asgi, Config())


def h2c_host() -> AbstractAsyncContextManager[Found]:
    return asgi(partial(serve_asgi, h2c=True), Config())


@asynccontextmanager
async def secured_asgi(*, is_h2: bool) -> AsyncIterator[Found]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    client_side.set_alpn_protocols(["h2" if is_h2 else "http/1.1"])
    config = Config()
    with ExitStack() as stack:
        key = stack.enter_context(issued.private_key_pem.tempfile())
        chain = stack.enter_context(trustme.Blob(b"".join(part.bytes() for part in issued.cert_chain_pems)).tempfile())
        config.keyfile, config.certfile = key, chain
        async with asgi(serve_asgi, config) as found:
            found.tls = client_side
            yield found


def bare_hypercorn() -> AbstractAsyncContextManager[Found]:
    return asgi(hypercorn.trio.serve, Config())


def bare_anycorn() -> AbstractAsyncContextManager[Found]:
    return asgi(anycorn.serve, anycorn.Config())


Host = Callable[[], AbstractAsyncContextManager[Found]]

HOSTS: Final[dict[str, Host]] = {
    **{f"server, {engine}": partial(sessions, engine) for engine in ENGINES},
    "server, TLS": partial(secured_sessions, "trio-websocket"),
    **{f"serve_proxies, {engine}": partial(proxies, engine) for engine in ENGINES},
    "serve_asgi": serve_asgi_host,
    "FastAPI": fastapi_host,
    "serve_asgi, TLS": partial(secured_asgi, is_h2=False),
    "HTTP/2, TLS": partial(secured_asgi, is_h2=True),
    "h2c": h2c_host,
}
H2_HOSTS: Final = frozenset({"HTTP/2, TLS", "h2c"})
"""A client speaks HTTP/2 to these: they are ``serve_asgi`` too."""
FOREIGN: Final[dict[str, Host]] = {"a bare hypercorn": bare_hypercorn, "anycorn": bare_anycorn}
"""What else a session may run under: shown beside ours, and not held to the same."""
