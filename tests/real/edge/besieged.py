"""The servers that are laid siege to, each in a process of its own: every engine, and ``serve_asgi``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tests.real.leaving.programs import Program, running
from trio_transports.wire.engines import ENGINES

GONE_BY_S: Final = 1.0
"""How long a besieged server waits for a request's head, and for a peer to read."""
BLOCKED_S: Final = 0.04
"""What one ``{"type": "text", "text": "block"}`` costs a server's loop. No session does that: it is to be felt."""

_STANDALONE: Final = """
import resource, time, trio
from trio_transports import WebsocketServerParams, WebsocketServerTransport
from trio_transports.serializers import JSONFrameSerializer
async def echo(session):
    async for frame in session.input:
        if frame.text == "block":
            time.sleep(BLOCKED)
        await session.output.send(frame)
params = WebsocketServerParams(serializer=JSONFrameSerializer(), connect_timeout=GONE_BY, send_timeout=GONE_BY)
transport = WebsocketServerTransport(params, host="127.0.0.1", port=PORT, engine="ENGINE")
async def main():
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.serve, echo)
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
trio.run(main)
"""
_ASGI: Final = """
import json, resource, time, trio
from functools import partial
from hypercorn.config import Config
from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport
from trio_transports.hosting import serve_asgi
from trio_transports.serializers import JSONFrameSerializer
calls = set()
params = AsgiWebsocketParams(serializer=JSONFrameSerializer(), send_timeout=GONE_BY)
async def echo(session):
    calls.add(session)
    try:
        async for frame in session.input:
            if frame.text == "block":
                time.sleep(BLOCKED)
            await session.output.send(frame)
    finally:
        calls.remove(session)
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await AsgiWebsocketTransport((scope, receive, send), params).serve(echo)
    elif scope["type"] == "http":
        body = json.dumps({"calls": len(calls)}).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    else:
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
config = Config()
config.bind, config.errorlog = ["127.0.0.1:PORT"], None
async def main():
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_asgi, app, config, header_timeout=GONE_BY, write_timeout=GONE_BY))
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
trio.run(main)
"""
SERVERS: Final = {**{engine: _STANDALONE.replace("ENGINE", engine) for engine in ENGINES}, "serve_asgi": _ASGI}


@asynccontextmanager
async def serving(server: str, descriptors: int = 4096) -> AsyncIterator[Program]:
    """Run one of ``SERVERS`` until the block ends."""
    numbers = {"DESCRIPTORS": descriptors, "GONE_BY": GONE_BY_S, "BLOCKED": BLOCKED_S}
    code = SERVERS[server]
    for name, number in numbers.items():
        code = code.replace(name, str(number))
    async with running(code) as program:
        yield program
