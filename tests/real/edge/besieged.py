"""The servers that are laid siege to, each in a process of its own: every engine, and ``serve_asgi``.

They begin with ``gc.freeze()``, as the README advises: else one collection that looks through everything imported
holds every call for 80 to 170 ms, when a thousand connections have made it due.
"""

import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from attrs import frozen

from tests import readme
from tests.ports import free_port
from tests.real.leaving.programs import PATIENCE_S
from trio_transports.wire.engines import ENGINES

GONE_BY_S: Final = 1.0
"""How long a besieged server waits for a request's head, and for a peer to read."""
BLOCK: Final = "block"
"""Who writes this makes the server's loop stand still for half a second. No session does: it is there to be felt."""
MUCH: Final = "much"
"""Who writes this gets 20 kB back."""

_ANSWER: Final = """
async def answer(session):
    async for frame in session.input:
        if frame.text == "block":
            time.sleep(0.5)
        await session.output.send(TextFrame(text="x" * 20_000) if frame.text == "much" else frame)
"""
_STANDALONE: Final = """
import gc, time, trio
from trio_transports import TextFrame, WebsocketServerParams, WebsocketServerTransport
from trio_transports.serializers import JSONFrameSerializer
ANSWER
params = WebsocketServerParams(serializer=JSONFrameSerializer(), connect_timeout=GONE_BY, send_timeout=GONE_BY)
transport = WebsocketServerTransport(params, host="127.0.0.1", port=PORT, engine="ENGINE")
async def main():
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.serve, answer)
gc.collect()
gc.freeze()
trio.run(main)
"""
_ASGI: Final = """
import gc, json, time, trio
from functools import partial
from hypercorn.config import Config
from trio_transports import AsgiWebsocketParams, TextFrame, AsgiWebsocketTransport
from trio_transports.hosting import serve_asgi
from trio_transports.serializers import JSONFrameSerializer
calls = set()
params = AsgiWebsocketParams(serializer=JSONFrameSerializer(), send_timeout=GONE_BY)
ANSWER
async def call(session):
    calls.add(session)
    try:
        await answer(session)
    finally:
        calls.remove(session)
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await AsgiWebsocketTransport((scope, receive, send), params).serve(call)
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
gc.collect()
gc.freeze()
trio.run(main)
"""
SERVERS: Final = {**{engine: _STANDALONE.replace("ENGINE", engine) for engine in ENGINES}, "serve_asgi": _ASGI}


@final
@frozen
class Server:
    port: int
    pid: int

    @property
    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * 4096

    @contextmanager
    def with_descriptors(self, count: int) -> Iterator[None]:
        """It can have no more than so many files and sockets open while the block runs."""
        before = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (count, before[1]))
        try:
            yield
        finally:
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, before)


@contextmanager
def running_server(code: str) -> Iterator[Server]:
    """Run ``code`` (with PORT in it) in a process of its own until the block ends."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", code.replace("PORT", str(port))], cwd=readme.ROOT)
    try:
        _wait_for(port)
        yield Server(port, process.pid)
    finally:
        process.kill()
        process.wait()


@contextmanager
def two_of(name: str) -> Iterator[tuple[Server, Server]]:
    """Run two of ``SERVERS`` until the block ends: one to besiege, and its twin."""
    code = SERVERS[name].replace("ANSWER", _ANSWER).replace("GONE_BY", str(GONE_BY_S))
    with running_server(code) as besieged, running_server(code) as twin:
        yield besieged, twin


def _wait_for(port: int) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > give_up_s:
                raise
            time.sleep(0.05)
        else:
            return
