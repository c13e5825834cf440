"""Streams of HTTP/2 opened and reset, and what a healthy call feels of it: ``python -m tests.real.edge.bursts``.

Each server is a process of its own. 990 streams are opened and reset in one write, once, and ten times a second apart,
while one caller asks and is answered over HTTP/1.1. What is printed is the longest round trip without and with that,
and what the server's memory has grown by. The exit code is 1 where ours is past 150 ms or 32 MB.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import trio
from attrs import field, frozen

from tests.real.asgi.test_asgi_h2_floods import GET, WEBSOCKET, opened_and_reset
from tests.real.edge.besieged import Server, running_server
from tests.real.edge.siege import ask, caller

WORST_S: Final = 0.15
GROWTH_BYTES: Final = 32 * 1024 * 1024
APART_S: Final = 1.0

_APP: Final = """
import trio
from functools import partial
from hypercorn.config import Config
import anycorn, hypercorn.trio
from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport
from trio_transports.hosting import serve_asgi
from trio_transports.serializers import JSONFrameSerializer
params = AsgiWebsocketParams(serializer=JSONFrameSerializer())
async def echo(session):
    async for frame in session.input:
        await session.output.send(frame)
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await AsgiWebsocketTransport((scope, receive, send), params).serve(echo)
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
    else:
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
config = CONFIG()
config.bind, config.errorlog = ["127.0.0.1:PORT"], None
trio.run(partial(SERVE))
"""
HOSTS: Final = {
    "serve_asgi": ("Config", "serve_asgi, app, config, h2c=True"),
    "a bare hypercorn": ("Config", "hypercorn.trio.serve, app, config"),
    "anycorn": ("anycorn.Config", "anycorn.serve, app, config"),
}
KINDS: Final = {"requests": GET, "WebSockets": WEBSOCKET}


@frozen
class Felt:
    """Round trips in seconds, and bytes."""

    quiet: list[float] = field(factory=list)
    meanwhile: list[float] = field(factory=list)
    grown: list[int] = field(factory=list)
    """One number."""


@contextmanager
def host_named(name: str) -> Iterator[Server]:
    config, serve = HOSTS[name]
    with running_server(_APP.replace("CONFIG", config).replace("SERVE", serve)) as server:
        yield server


async def burst(port: int, data: bytes) -> None:
    """Write it all, and read until the server ends the connection, for a second at most."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with trio.move_on_after(1), suppress(trio.BrokenResourceError):
            await stream.send_all(data)
            async for _ in stream:
                pass


async def endure(server: Server, data: bytes, count: int, apart_s: float = APART_S) -> Felt:
    """What one caller feels of so many bursts, and how much memory they have cost."""
    felt = Felt()
    async with caller(server.port) as wire, trio.open_nursery() as nursery:
        for _ in range(50):
            await ask(wire)  # until it is warm
        listening_to = felt.quiet

        async def keep_asking() -> None:
            while True:
                listening_to.append(await ask(wire))
                await trio.sleep(0.005)

        nursery.start_soon(keep_asking)
        await trio.sleep(1)
        before = server.resident_bytes
        listening_to = felt.meanwhile
        for number in range(count):
            began_s = trio.current_time()
            await burst(server.port, data)
            if number + 1 < count:
                await trio.sleep_until(began_s + apart_s)
        await trio.sleep(0.2)
        felt.grown.append(server.resident_bytes - before)
        nursery.cancel_scope.cancel()
    return felt


def row(name: str, kind: str, size: int, count: int, felt: Felt) -> str:
    quiet, meanwhile = (f"{max(each) * 1000:.0f} ms" for each in (felt.quiet, felt.meanwhile))
    return (
        f"| {name} | {count} x {kind}, {size / 1000:.0f} kB | {quiet} | {meanwhile} | {felt.grown[0] / 2**20:.1f} MB |"
    )


async def main() -> int:
    print("| server | bursts | longest round trip before | during | memory grown by |")
    print("|---|---|---|---|---|")
    is_felt = False
    for name in HOSTS:
        for kind, headers in KINDS.items():
            for count in (1, 10):
                data = opened_and_reset(headers, at_once=1)
                with host_named(name) as server:
                    felt = await endure(server, data, count)
                print(row(name, kind, len(data), count, felt), flush=True)
                if name == "serve_asgi":
                    is_felt |= max(felt.meanwhile) > WORST_S or felt.grown[0] > GROWTH_BYTES
    return int(is_felt)


if __name__ == "__main__":
    sys.exit(trio.run(main))
