"""A server under siege, and what its healthy callers feel of it: ``python -m tests.real.edge.siege``.

Two servers of the same kind run beside each other, each in a process of its own; one of them is besieged. Healthy
callers ask both all the time, and are answered. What the siege does to them is the 99th percentile of how long that
takes at the besieged server, as a multiple of that at its twin in the same seconds: a machine that is busy with other
things, and the load that the besiegers make here, are felt at both.
"""

import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio
from attrs import field, frozen

from tests.real.edge.attacks import GOOD
from tests.real.edge.besieged import BLOCK, MUCH, SERVERS, Server, two_of
from trio_transports.errors import ConnectionClosed
from trio_transports.wire import Wire
from trio_transports.wire.dialling import Address, dial
from trio_transports.wire.direct import connect_wire
from trio_transports.wire.settings import WireSettings

HEALTHY: Final = 5
"""At each of the two servers."""
ASK_EVERY_S: Final = 0.02
WARM_UP_S: Final = 0.5
"""The first answers of a process take longest, and are not measured."""
PHASE_S: Final = 1.5
"""A siege takes this long at least."""
PATIENCE_S: Final = 30.0


@frozen
class Felt:
    """Round trips in seconds, and when the last besieger had gone."""

    cold: list[float] = field(factory=list)
    """Not compared with."""
    besieged: list[float] = field(factory=list)
    beside: list[float] = field(factory=list)
    """At the twin, in the same seconds."""
    gone_after: list[float] = field(factory=list)
    """Seconds from the last besieger's coming on: one number."""

    @property
    def ratio(self) -> float:
        return p99(self.besieged) / p99(self.beside)


def p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


@asynccontextmanager
async def caller(port: int) -> AsyncIterator[Wire]:
    address = Address.parse(f"ws://127.0.0.1:{port}/")
    settings = WireSettings(ping_interval_s=None)
    stream = await dial(address, None)
    async with connect_wire(stream, url=str(address), host="localhost", resource="/", settings=settings) as wire:
        yield wire


async def ask(wire: Wire, text: str = "?") -> float:
    """One round trip."""
    began_s = trio.current_time()
    await wire.send(json.dumps({"type": "text", "text": text}))
    await wire.receive()
    return trio.current_time() - began_s


async def calls(port: int) -> int:
    """How many calls the server has, by its own account."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
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
    """Two hundred come within half a second and say their request a byte at a time, as if for ever."""
    streams = []

    async def drip(stream: trio.SocketStream) -> None:
        try:
            for byte in GOOD(b"/") * 100:
                await stream.send_all(bytes([byte]))
                await trio.sleep(0.5)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    for _ in range(200):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        nursery.start_soon(drip, stream)
        streams.append(stream)
        await trio.sleep(0.0025)
    return streams


async def stalled_readers(port: int, nursery: trio.Nursery) -> list[trio.SocketStream]:
    """Fifty are let in, ask for more than the kernel keeps for them, and read none of it.

    Over loopback it would keep 3 MB for each: their sockets say that they are on a thin line.
    """
    text = json.dumps({"type": "text", "text": MUCH}).encode()
    message = bytes([0x81, 0x80 | len(text)]) + bytes(4) + text

    async def go_on_asking(stream: trio.SocketStream) -> None:
        try:
            while True:
                await stream.send_all(message)
                await trio.sleep(0.1)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    streams = []
    for _ in range(50):
        thin = trio.socket.socket()
        thin.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        thin.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await thin.connect(("127.0.0.1", port))
        stream = trio.SocketStream(thin)
        await stream.send_all(GOOD(b"/"))
        assert (await stream.receive_some(200)).startswith(b"HTTP/1.1 101")
        nursery.start_soon(go_on_asking, stream)
        streams.append(stream)
    return streams


async def no_descriptors(port: int, _nursery: trio.Nursery) -> list[trio.SocketStream]:
    """More than the server has descriptors for; the kernel keeps the rest waiting."""
    return [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(120)]


async def blocked(port: int, _nursery: trio.Nursery) -> list[trio.SocketStream]:
    """Not of the sieges: two make the server's loop stand still for a second, as one would that is felt."""

    async def block(wire: Wire) -> None:
        with trio.move_on_after(1.0):
            while True:
                await ask(wire, BLOCK)

    async with caller(port) as one, caller(port) as two, trio.open_nursery() as blockers:
        for wire in (one, two):
            blockers.start_soon(block, wire)
    return []


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


async def endure(siege: Siege, besieged: Server, twin: Server) -> Felt:
    """What healthy callers feel of one siege; it raises where besiegers are not gone, or a caller is lost."""
    felt = Felt()
    is_warm, is_over = False, False

    async def keep_asking(port: int, listening_to: list[float], *, task_status: trio.TaskStatus[None]) -> None:
        async with caller(port) as wire:
            task_status.started()
            while not is_over:
                (listening_to if is_warm else felt.cold).append(await ask(wire))
                await trio.sleep(ASK_EVERY_S)

    async with trio.open_nursery() as healthy:
        for port, listening_to in ((twin.port, felt.beside), (besieged.port, felt.besieged)):
            for _ in range(HEALTHY):
                await healthy.start(keep_asking, port, listening_to)
        await trio.sleep(WARM_UP_S)
        is_warm = True
        async with trio.open_nursery() as besiegers:
            with besieged.with_descriptors(64 if siege is no_descriptors else 4096):
                began_s = trio.current_time()
                streams = await siege(besieged.port, besiegers)
                laid_s = trio.current_time()
                with trio.fail_after(PATIENCE_S):
                    await _all_gone(besieged.port, () if siege is stalled_readers else streams)
                felt.gone_after.append(trio.current_time() - laid_s)
                await trio.sleep_until(began_s + PHASE_S)
            for stream in streams:
                await stream.aclose()
            besiegers.cancel_scope.cancel()
        async with caller(besieged.port) as late:
            await ask(late)
        is_over = True
    return felt


def row(name: str, server: str, felt: Felt) -> str:
    besieged_ms, beside_ms = p99(felt.besieged) * 1000, p99(felt.beside) * 1000
    return (
        f"| {name} | {server} | {besieged_ms:.1f} ms | {beside_ms:.1f} ms | {felt.ratio:.2f} "
        f"| {felt.gone_after[0]:.1f} s |"
    )


async def main() -> int:
    print("| siege | server | p99 under siege | p99 of its twin beside it | ratio | all gone after |")
    print("|---|---|---|---|---|---|")
    is_lost = False
    for server in SERVERS:
        with two_of(server) as (besieged, twin):
            for name, siege in SIEGES.items():
                try:
                    with trio.fail_after(2 * PATIENCE_S):
                        print(row(name, server, await endure(siege, besieged, twin)), flush=True)
                except* (ConnectionClosed, trio.TooSlowError) as lost:
                    print(f"{name}, {server}: LOST: {lost.exceptions!r}", flush=True)
                    is_lost = True
    return int(is_lost)


if __name__ == "__main__":
    sys.exit(trio.run(main))
