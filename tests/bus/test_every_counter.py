"""Each figure of a proxy's and a subscription's statistics is changed by what it counts, twice."""

from collections.abc import Awaitable, Callable, Mapping

import attrs
import pytest
import trio
import trio.testing
from attrs import frozen

from tests.bus.proxies import JSON, client, data, running, wire_pair
from trio_transports.bus import (
    BusActivateWorkerMessage,
    BusCancelMessage,
    BusMessage,
    LocalBus,
    ProxySettings,
)
from trio_transports.bus.proxy.base import Proxy
from trio_transports.bus.proxy.counters import ProxyStatistics
from trio_transports.bus.subscription import SubscriptionStatistics
from trio_transports.bus.weight import weight
from trio_transports.params import ReconnectPolicy
from trio_transports.wire.memory import MemoryWire

UNKNOWN = '{"__type__":"acme.messages.Order","__data__":{}}'


@frozen
class Link:
    proxy: Proxy
    bus: LocalBus
    far: list[MemoryWire]
    """The peer's ends, of which the first is in use."""


async def lose(link: Link) -> None:
    await link.far.pop(0).aclose(1001)
    await trio.sleep(1)


def say(count: int) -> Callable[[Link], Awaitable[None]]:
    async def act(link: Link) -> None:
        for _ in range(count):
            await link.bus.send(data("near", "far"))
            await trio.testing.wait_all_tasks_blocked()

    return act


def hear(message: str | bytes) -> Callable[[Link], Awaitable[None]]:
    async def act(link: Link) -> None:
        await link.far[0].send(message)

    return act


async def say_what_cannot_be_written(link: Link) -> None:
    await link.bus.send(BusActivateWorkerMessage(source="near", target="far", args={"a": object()}))


ROOM = 8
"""Messages that the outbox has room for; the wire of these tests holds ``UNDER_WAY`` more, and one is being written."""
UNDER_WAY = 4

PROXY: Mapping[str, tuple[Callable[[Link], Awaitable[None]], tuple[int, int]]] = {
    "connections": (lose, (1, 1)),
    "sent": (say(1), (1, 1)),
    "received": (hear(JSON.encode(data("far", "near"))), (1, 1)),
    "dropped": (say(UNDER_WAY + 1 + ROOM + 3), (3, UNDER_WAY + 1 + ROOM + 3)),
    "malformed": (hear("garbage"), (1, 1)),
    "unknown": (hear(UNKNOWN), (1, 1)),
    "refused": (hear(JSON.encode(BusCancelMessage(source="far", target="near"))), (1, 1)),
    "unsendable": (say_what_cannot_be_written, (1, 1)),
    "waiting": (say(UNDER_WAY + 1 + 2), (2, ROOM - 2)),
}


@pytest.mark.parametrize("name", [each.name for each in attrs.fields(ProxyStatistics)])
async def test_every_figure_of_a_proxy(name: str, autojump_clock: trio.testing.MockClock) -> None:
    """Each field is moved by its act, by as much as is said of it, both times."""
    act, amounts = PROXY[name]
    pairs = [wire_pair(buffer_messages=UNDER_WAY) for _ in range(3)]
    settings = ProxySettings(outbox_messages=ROOM, send_timeout=1000)
    policy = ReconnectPolicy(initial_delay=0.1, jitter=0)
    proxy = client(*(near for near, _ in pairs), settings=settings, reconnect=policy)
    async with running(proxy) as bus:
        link = Link(proxy, bus, [far for _, far in pairs])
        while link.far[0]._arrived:  # what a proxy says by itself when it has connected
            await link.far[0].receive()
        for by in amounts:
            before = getattr(proxy.statistics(), name)
            await act(link)
            await trio.testing.wait_all_tasks_blocked()
            assert getattr(proxy.statistics(), name) - before == by
        link.far[0].abort()


WORD = data("far", "near")
SUBSCRIPTION: Mapping[str, tuple[BusMessage, int, tuple[int, int]]] = {
    "received": (WORD, 1, (1, 1)),
    "dropped": (WORD, ROOM + 3, (3, ROOM + 3)),
    "waiting_data": (WORD, 2, (2, 2)),
    "waiting_system": (BusCancelMessage(source="far", target="near"), 2, (2, 2)),
    "waiting_bytes": (WORD, 2, (weight(WORD), 2 * weight(WORD))),  # the first of them is gone at once, or nearly
}


@pytest.mark.parametrize("name", [each.name for each in attrs.fields(SubscriptionStatistics)])
async def test_every_figure_of_a_subscription(name: str, autojump_clock: trio.testing.MockClock) -> None:
    """Each field is moved by so many of a message, by as much as is said of it, both times."""
    message, count, amounts = SUBSCRIPTION[name]
    bus = LocalBus()
    reader = bus.subscribe("near", data_buffer=ROOM)
    for by in amounts:
        before = getattr(reader.statistics(), name)
        for _ in range(count):
            await bus.send(message)
        if name == "received":
            await reader.receive()
        assert getattr(reader.statistics(), name) - before == by


def test_no_figure_is_shown_that_is_none() -> None:
    """The tables name nothing else."""
    assert PROXY.keys() == {each.name for each in attrs.fields(ProxyStatistics)}
    assert SUBSCRIPTION.keys() == {each.name for each in attrs.fields(SubscriptionStatistics)}
