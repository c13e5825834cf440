"""The ASGI wire keeps the contract of wires, against trio-websocket's client on a real connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.real.asgi.apps import lifespan
from tests.real.asgi.hosts import quiet_config
from trio_transports.hosting import serve_asgi
from trio_transports.testing import check_wire
from trio_transports.wire import Wire
from trio_transports.wire.asgi import Receive, Scope, Send, asgi_wire
from trio_transports.wire.settings import WireSettings
from trio_transports.wire.trio_websocket import connect_wire


@asynccontextmanager
async def asgi_pair(*, max_message_bytes: int) -> AsyncIterator[tuple[Wire, Wire]]:
    """A client's wire, and the wire of the app that serves it."""
    done = trio.Event()
    give, take = trio.open_memory_channel[Wire](1)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        wire = asgi_wire((scope, receive, send), max_message_bytes=max_message_bytes)
        await wire.accept()
        await give.send(wire)
        await done.wait()

    config, _ = quiet_config()
    async with trio.open_nursery() as nursery:
        port = int((await nursery.start(serve_asgi, app, config))[0].rsplit(":", 1)[1])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        settings = WireSettings(max_message_bytes=max_message_bytes, ping_interval_s=None)
        async with connect_wire(stream, url="ws://test/", host="127.0.0.1", resource="/", settings=settings) as client:
            yield client, await take.receive()
            done.set()
        nursery.cancel_scope.cancel()


async def test_the_wire_keeps_the_contract() -> None:
    """An ASGI wire under the guard behaves as every wire does, at both ends."""
    await check_wire(asgi_pair)
