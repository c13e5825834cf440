"""Proxies that are joined in a ring: no message goes round for ever."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from tests.bus.proxies import frame_message, wire_pair
from tests.bus.test_proxy_strangers import stranger
from trio_transports.bus import (
    BUS_SUBPROTOCOL,
    BusFrameMessage,
    BusMessage,
    BusOpaqueMessage,
    BusSubscription,
    JSONMessageSerializer,
    WebSocketProxyServer,
    Worker,
    WorkerRunner,
)
from trio_transports.bus.codec.hops import MAX_HOPS
from trio_transports.wire.memory import MemoryWire

FORWARD = (BusOpaqueMessage, BusFrameMessage)


def proxy(wire: MemoryWire, local: str, remote: str) -> WebSocketProxyServer:
    return WebSocketProxyServer(
        f"{local} to {remote} {id(wire)}",
        websocket=wire,
        worker_name=local,
        remote_worker_name=remote,
        forward_messages=FORWARD,
        serializer=JSONMessageSerializer(pass_unknown=True),
    )


@asynccontextmanager
async def ring(source: str, subprotocol: str | None) -> AsyncIterator[tuple[WorkerRunner, WorkerRunner]]:
    """Two runners, joined by two pairs of proxies, one for each way: what ``source`` says goes out and comes back."""
    first, second = WorkerRunner("first"), WorkerRunner("second")
    async with trio.open_nursery() as nursery:
        await nursery.start(first.run)
        await nursery.start(second.run)
        for here, there in ((first, second), (second, first)):
            near, far = wire_pair(subprotocol)
            nursery.start_soon(here.add_worker, proxy(near, source, "somebody"))
            nursery.start_soon(there.add_worker, proxy(far, "somebody", source))
        await trio.testing.wait_all_tasks_blocked()
        yield first, second
        first.cancel()
        second.cancel()


def reading(runner: WorkerRunner) -> BusSubscription:
    return runner.bus.subscribe("reader", accepts=lambda message: isinstance(message, FORWARD))


def count(reader: BusSubscription) -> int:
    return reader.statistics().waiting_data + reader.statistics().dropped


def opaque(source: str) -> BusMessage:
    return JSONMessageSerializer(pass_unknown=True).decode(stranger("acme.messages.Order", source=source))


async def test_what_a_worker_here_says_does_not_come_back(autojump_clock: trio.testing.MockClock) -> None:
    """Whatever comes in from elsewhere in the name of a worker of this process has gone round, and is refused."""
    async with ring("a", None) as (first, second):
        await first.add_worker(Worker("a"))
        readers = reading(first), reading(second)
        for round_ in (1, 2):
            for message in (frame_message("a", None), opaque("a")):
                await first.bus.send(message)
            await trio.sleep(1)
            assert [count(reader) for reader in readers] == [2 * round_, 2 * round_]


async def test_a_strangers_words_do_not_go_round_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    """Of a source that is in none of the two they pass ``MAX_HOPS`` proxies at the most; and so a second time."""
    async with ring("x", BUS_SUBPROTOCOL) as (first, second):
        readers = reading(first), reading(second)
        for round_ in (1, 2):
            await first.bus.send(opaque("x"))
            await trio.sleep(1)
            assert sum(map(count, readers)) == MAX_HOPS * round_


async def test_of_hops_a_stranger_hears_nothing() -> None:
    """To a peer that does not speak our subprotocol they leave byte for byte as they came, however far they came."""
    words = stranger("acme.messages.Order", source="x", target="y").encode()
    passing = JSONMessageSerializer(pass_unknown=True)
    message = passing.decode(b'{"__hops__":3,' + words[1:])
    assert isinstance(message, BusOpaqueMessage)
    assert message.hops == 4
    assert message.data == words == passing.encode(message)
    await trio.lowlevel.checkpoint()
