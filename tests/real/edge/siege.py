"""A server under siege, and what its healthy callers feel of it: ``python -m tests.real.edge.siege``.

The server is a process of its own. Healthy callers ask and are answered all the time; how long that takes is measured
before the siege, during it, and after it. What is printed is the 99th percentile during it as a multiple of the one
before it, which begins only once both processes are warm: the first answers of a process take longest, and would let
any siege look harmless. What came after is shown beside it: a machine that is busy with other things is then, too.
"""

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import trio
from attrs import field, frozen

from tests.real.edge.attacks import GOOD
from tests.real.leaving.programs import Program, running
from trio_transports.errors import ConnectionClosed
from trio_transports.wire import Wire
from trio_transports.wire.dialling import Address, dial
from trio_transports.wire.direct import connect_wire
from trio_transports.wire.engines import ENGINES
from trio_transports.wire.settings import WireSettings

HEALTHY: Final = 5
ASK_EVERY_S: Final = 0.05
WARM_UP_S: Final = 2.0
PHASE_S: Final = 3.0
GONE_BY_S: Final = 2.0
"""What connect_timeout and send_timeout are for the besieged server."""
PATIENCE_S: Final = 60.0

SERVER: Final = """
import resource, trio
from trio_transports import WebsocketServerParams, WebsocketServerTransport
from trio_transports.serializers import JSONFrameSerializer
async def echo(session):
    async for frame in session.input:
        await session.output.send(frame)
params = WebsocketServerParams(serializer=JSONFrameSerializer(), connect_timeout=GONE_BY, send_timeout=GONE_BY)
transport = WebsocketServerTransport(params, host="127.0.0.1", port=PORT, engine="ENGINE")
async def main():
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.serve, echo)
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
trio.run(main)
"""


@frozen
class Felt:
    """Round trips in seconds."""

    cold: list[float] = field(factory=list)
    """Not compared with."""
    before: list[float] = field(factory=list)
    during: list[float] = field(factory=list)
    after: list[float] = field(factory=list)

    @property
    def ratio(self) -> float:
        return p99(self.during) / p99(self.before)


def p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


@asynccontextmanager
async def besieged(engine: str, descriptors: int = 4096) -> AsyncIterator[Program]:
    code = SERVER.replace("ENGINE", engine).replace("DESCRIPTORS", str(descriptors)).replace("GONE_BY", str(GONE_BY_S))
    async with running(code) as program:
        yield program


@asynccontextmanager
async def caller(port: int) -> AsyncIterator[Wire]:
    address = Address.parse(f"ws://127.0.0.1:{port}/")
    settings = WireSettings(ping_interval_s=None)
    stream = await dial(address, None)
    async with connect_wire(stream, url=str(address), host="localhost", resource="/", settings=settings) as wire:
        yield wire


async def ask(wire: Wire) -> float:
    """One round trip."""
    began_s = trio.current_time()
    await wire.send(json.dumps({"type": "text", "text": "?"}))
    await wire.receive()
    return trio.current_time() - began_s


async def calls(port: int) -> int:
    """How many calls the server has, by its own account."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = b""
        async for data in stream:
            got += data
    return int(json.loads(got.partition(b"\r\n\r\n")[2])["calls"])


Siege = Callable[[int, trio.Nursery], Awaitable[list[trio.SocketStream]]]
"""Lay siege to a port; what it gives is what it holds."""


async def silent(port: int, _nursery: trio.Nursery) -> list[trio.SocketStream]:
    """A thousand connect and say nothing."""
    return [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(1000)]


async def slow_headers(port: int, nursery: trio.Nursery) -> list[trio.SocketStream]:
    """Two hundred say their request a byte at a time, as if for ever."""
    streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(200)]

    async def drip(stream: trio.SocketStream) -> None:
        try:
            for byte in GOOD(b"/") * 100:
                await stream.send_all(bytes([byte]))
                await trio.sleep(0.5)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    for stream in streams:
        nursery.start_soon(drip, stream)
    return streams


async def stalled_readers(port: int, nursery: trio.Nursery) -> list[trio.SocketStream]:
    """Fifty are let in, ask for much, and read none of it."""
    streams = []
    text = json.dumps({"type": "text", "text": "x" * 60_000}).encode()
    message = b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text

    async def shout(stream: trio.SocketStream) -> None:
        try:
            while True:
                await stream.send_all(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    for _ in range(50):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(GOOD(b"/"))
        assert (await stream.receive_some(200)).startswith(b"HTTP/1.1 101")
        nursery.start_soon(shout, stream)
        streams.append(stream)
    return streams


async def no_descriptors(port: int, _nursery: trio.Nursery) -> list[trio.SocketStream]:
    """More than the server has descriptors for; the kernel keeps the rest waiting."""
    return [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(120)]


SIEGES: Final[dict[str, Siege]] = {
    "1000 silent connections": silent,
    "200 slow headers": slow_headers,
    "50 stalled readers": stalled_readers,
    "no descriptor left": no_descriptors,
}


async def is_gone(stream: trio.SocketStream) -> None:
    """Wait until the server has ended it."""
    try:
        while await stream.receive_some(65536):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


async def _all_gone(port: int, streams: Sequence[trio.SocketStream]) -> None:
    """The server has ended these, and by its own account nobody but the healthy is there."""
    for stream in streams:
        await is_gone(stream)
    while await calls(port) > HEALTHY:  # noqa: ASYNC110 - another process tells nobody
        await trio.sleep(0.1)


async def endure(siege: Siege, engine: str) -> Felt:
    """What healthy callers feel of one siege; it raises where besiegers are not gone in time, or a caller is lost."""
    felt = Felt()
    listening_to = felt.cold
    is_over = False
    async with besieged(engine, 64 if siege is no_descriptors else 4096) as program, AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(caller(program.port)) for _ in range(HEALTHY)]

        async def keep_asking(wire: Wire) -> None:
            while not is_over:
                listening_to.append(await ask(wire))
                await trio.sleep(ASK_EVERY_S)

        async with trio.open_nursery() as healthy:
            for wire in wires:
                healthy.start_soon(keep_asking, wire)
            await trio.sleep(WARM_UP_S)
            listening_to = felt.before
            await trio.sleep(PHASE_S)
            async with trio.open_nursery() as besiegers:
                listening_to = felt.during  # from the first of them on
                streams = await siege(program.port, besiegers)
                await trio.sleep(PHASE_S)
                with trio.fail_after(PATIENCE_S):
                    await _all_gone(program.port, () if siege is stalled_readers else streams)
                for stream in streams:
                    await stream.aclose()
                besiegers.cancel_scope.cancel()
            listening_to = felt.after
            await trio.sleep(PHASE_S)
            async with caller(program.port) as late:
                await ask(late)
            is_over = True
    return felt


async def main() -> int:
    for name, siege in SIEGES.items():
        for engine in ENGINES:
            try:
                with trio.fail_after(2 * PATIENCE_S):
                    felt = await endure(siege, engine)
            except (ConnectionClosed, trio.TooSlowError) as exc:
                print(f"{name}, {engine}: LOST: {exc!r}")
                return 1
            before, during, after = (p99(each) * 1000 for each in (felt.before, felt.during, felt.after))
            print(
                f"{name}, {engine}: p99 {before:.1f} ms before, {during:.1f} during, {after:.1f} after: "
                f"ratio {felt.ratio:.2f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(trio.run(main))
