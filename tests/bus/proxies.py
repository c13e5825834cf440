"""Proxies on wires in memory, for the tests of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from trio_transports.bus import (
    BinaryMessageSerializer,
    BusDataMessage,
    BusFrame,
    BusFrameMessage,
    BusMessage,
    BusSubscription,
    JSONMessageSerializer,
    LocalBus,
    WebSocketProxyClient,
    WebSocketProxyServer,
)
from trio_transports.bus.proxy.base import Proxy
from trio_transports.errors import TransportError
from trio_transports.frames import AudioFrame, TextFrame
from trio_transports.wire import Peer, Wire
from trio_transports.wire.memory import MemoryWire, memory_wire_pair

JSON = JSONMessageSerializer()
LIMIT = 4 * 1024 * 1024


def frame_message(source: str, target: str | None, frame: BusFrame | None = None) -> BusFrameMessage:
    return BusFrameMessage(source=source, target=target, frame=frame or TextFrame(text="x"))


def audio(number: int, target: str | None = "far") -> BusFrameMessage:
    return BusFrameMessage(
        source="near", target=target, id=number, frame=AudioFrame(audio=bytes(640), sample_rate=16000)
    )


def wire_pair(subprotocol: str | None = None, **sizes: int) -> tuple[MemoryWire, MemoryWire]:
    peer = Peer(address="memory", subprotocol=subprotocol)
    return memory_wire_pair(near=peer, far=peer, **({"max_message_bytes": LIMIT} | sizes))  # type: ignore[arg-type]


def server(wire: Wire, **options: Any) -> WebSocketProxyServer:  # noqa: ANN401 - any option of the proxy
    return WebSocketProxyServer("proxy", websocket=wire, worker_name="near", remote_worker_name="far", **options)


def client(*wires: Wire, **options: Any) -> WebSocketProxyClient:  # noqa: ANN401 - any option of the proxy
    """A client that gets these wires, one after another, when it dials."""
    remaining = list(wires)

    @asynccontextmanager
    async def open_wire() -> AsyncIterator[Wire]:
        await trio.lowlevel.checkpoint()
        if not remaining:
            raise TransportError("no more wires")
        yield remaining.pop(0)

    return WebSocketProxyClient(
        "proxy",
        url="ws://test/bus",
        local_worker_name="near",
        remote_worker_name="far",
        **({"open_wire": open_wire} | options),
    )


MAKERS = pytest.mark.parametrize("make", [server, client], ids=["server", "client"])


@asynccontextmanager
async def running(proxy: Proxy, bus: LocalBus | None = None) -> AsyncIterator[LocalBus]:
    """Run ``proxy`` on a bus, and stop it when the body ends."""
    bus = bus or LocalBus()
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run, bus)
        await trio.testing.wait_all_tasks_blocked()
        yield bus
        proxy.stop()


async def received(wire: MemoryWire) -> list[BusMessage]:
    """What the peer has got so far."""
    await trio.testing.wait_all_tasks_blocked()
    serializer = BinaryMessageSerializer()
    messages = []
    while wire._arrived:
        messages.append(serializer.decode(await wire.receive()))
    return messages


async def on_the_bus(subscription: BusSubscription) -> list[BusMessage]:
    await trio.testing.wait_all_tasks_blocked()
    statistics = subscription.statistics()
    return [await subscription.receive() for _ in range(statistics.waiting_data + statistics.waiting_system)]


def data(source: str, target: str | None) -> BusMessage:
    return BusDataMessage(source=source, target=target)
