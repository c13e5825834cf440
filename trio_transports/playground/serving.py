"""A server for one ASGI app, for as long as a block runs."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, cast

import trio
from hypercorn import Config
from hypercorn.typing import ASGIFramework

from ..hosting.server import serve_asgi
from .asgi import Route

GRACE_S: Final = 3.0


@asynccontextmanager
async def serve_app(host: str, port: int, app: Route) -> AsyncIterator[str]:
    """Serve the app and give its URL; when the body ends, every session is told 1001. A busy port is an OSError."""
    listening = await listen(host, port)
    shown = seen_from_here(listening)
    config = Config()
    # Hypercorn would drop a socket that it could not bind without closing it.
    config.bind = [f"fd://{listening.detach()}"]
    config.graceful_timeout = GRACE_S
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("trio_transports.playground.hypercorn")
    stop = trio.Event()
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            serve = partial(serve_asgi, cast("ASGIFramework", app), config, shutdown_trigger=stop.wait)
            await nursery.start(serve)
            yield f"http://{shown}"
            stop.set()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        failure = group.exceptions[0]
    # Raised outside the handler, so that its context stays as its author left it.
    if failure is not None:
        raise failure


async def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on the first address that the host has."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    return socket.create_server(address, family=family, dualstack_ipv6=False)


def seen_from_here(listening: socket.socket) -> str:
    """The address and port by which this machine itself reaches it."""
    host, port, *_ = listening.getsockname()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
