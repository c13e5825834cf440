"""One connection of the server over a pair of sockets: its peer is the test, its app too, and the time is virtual."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import socketpair
from typing import Any, Final

import trio
import trustme
from attrs import define, field
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.utils import wrap_app

from tests.real.asgi.hosts import App, LogLines, quiet_config
from tests.real.asgi.raw_peer import RawPeer
from trio_transports.hosting.connection import Connection
from trio_transports.hosting.counting import Counting
from trio_transports.hosting.host import Host, Limits
from trio_transports.hosting.leaving import LeavingNotice
from trio_transports.wire.stream import OwnedStream

KEEP_ALIVE_S: Final = 7.0
HEADER_S: Final = 5.0
BODY_S: Final = 20.0
GET: Final = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

_AUTHORITY: Final = trustme.CA()


def server_ssl(*alpn_protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _AUTHORITY.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(alpn_protocols)
    return context


def client_ssl(*alpn_protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    _AUTHORITY.configure_trust(context)
    context.set_alpn_protocols(alpn_protocols)
    return context


@define(eq=False)
class Hosting:
    """What the connections of one server share."""

    app: App
    ssl_context: ssl.SSLContext | None = None
    takes_h2c: bool = False
    settings: dict[str, Any] = field(factory=dict)
    """Of hypercorn's, beside those that this gives."""
    log: LogLines = field(init=False)
    host: Host = field(init=False)

    def __attrs_post_init__(self) -> None:
        settings = {"keep_alive_timeout": KEEP_ALIVE_S, "ssl_handshake_timeout": KEEP_ALIVE_S, **self.settings}
        config, self.log = quiet_config(**settings)
        app: Any = self.app
        limits = Limits(write_timeout_s=1.0, header_timeout_s=HEADER_S, body_timeout_s=BODY_S, takes_h2c=self.takes_h2c)
        self.host = Host(
            app=wrap_app(app, config.wsgi_max_body_size, "asgi"),
            config=config,
            context=WorkerContext(None),
            state={"made": "by the lifespan"},
            ssl_context=self.ssl_context,
            limits=limits,
            leaving=LeavingNotice(),
            counting=Counting(),
        )

    @property
    def turned_away(self) -> dict[str, int]:
        return dict(self.host.counting.callers().turned_away)

    @property
    def logged(self) -> list[str]:
        return [record.getMessage() for record in self.log.records]


@define(eq=False)
class Paired:
    """A connection, and its peer."""

    connection: Connection
    stream: OwnedStream
    peer: RawPeer
    ended_s: float | None = None
    """When it did, since it began."""


@asynccontextmanager
async def paired(hosting: Hosting) -> AsyncIterator[Paired]:
    """Have one served while the body runs, and wait for its end."""
    near, far = (trio.SocketStream(trio.socket.from_stdlib_socket(each)) for each in socketpair())
    stream = OwnedStream(near, write_timeout_s=hosting.host.limits.write_timeout_s)
    stream.opened()
    pair = Paired(Connection(hosting.host, stream, hosting.ssl_context is not None), stream, RawPeer(far))
    began_s = trio.current_time()

    async def serve() -> None:
        try:
            await pair.connection.run()
        finally:
            pair.ended_s = trio.current_time() - began_s

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield pair
            far.socket.close()
    finally:
        far.socket.close()
        near.socket.close()


async def answer(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - an app of ASGI
    """An app that has one answer for a request, and takes each WebSocket until it ends."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def silent(_scope: object, _receive: object, _send: object) -> None:
    """An app that never answers."""
    await trio.sleep_forever()
