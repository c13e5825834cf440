"""What waits for a proxy's peer, in which form and how much of it; and what is none of the proxy's own business."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
import trio.testing

from tests.bus.proxies import JSON, MAKERS, audio, client, data, received, running, server, wire_pair
from trio_transports.bus import (
    BUS_SUBPROTOCOL,
    BusDataMessage,
    BusDeactivateWorkerMessage,
    BusEndWorkerMessage,
    BusFrameMessage,
    BusGapMessage,
    BusJobRequestMessage,
    BusMessage,
    MessageSerializer,
    ProxyConnected,
    ProxyDisconnected,
    ProxySettings,
)
from trio_transports.bus.proxy import client as of_clients
from trio_transports.bus.proxy.base import Proxy
from trio_transports.errors import ConnectionClosed
from trio_transports.params import ReconnectPolicy
from trio_transports.session.events import Reconnecting
from trio_transports.wire import Wire
from trio_transports.wire.memory import MemoryWire
from trio_transports.wire.settings import WireSettings

MakeProxy = Callable[..., Proxy]
POLICY = ReconnectPolicy(initial_delay=1, max_delay=1, jitter=0, max_queued_audio_secs=0.51)


class Late:
    """Gives a client one wire after another, a second after it has dialled."""

    def __init__(self, *subprotocols: str | None) -> None:
        pairs = [wire_pair(subprotocol) for subprotocol in subprotocols]
        self.far = [far for _, far in pairs]
        self._near: list[MemoryWire] = [near for near, _ in pairs]

    @asynccontextmanager
    async def open_wire(self) -> AsyncIterator[Wire]:
        await trio.sleep(1)
        yield self._near.pop(0)


class Own:
    """A serializer of the user's own, that reads nothing but its own words."""

    def encode(self, message: BusMessage) -> bytes:
        return b"from " + message.source.encode()

    def decode(self, data: bytes | str) -> BusMessage:
        assert bytes(data, "ascii") if isinstance(data, str) else data.startswith(b"from ")
        return BusDataMessage(source="far", target="near")


async def test_what_waits_is_in_the_users_own_words(autojump_clock: trio.testing.MockClock) -> None:
    """On the first connection and on later ones nobody translates it."""
    network = Late(BUS_SUBPROTOCOL, None, BUS_SUBPROTOCOL)
    proxy = client(open_wire=network.open_wire, reconnect=POLICY, serializer=Own())
    async with running(proxy) as bus:
        for far in network.far:
            await bus.send(data("near", "far"))
            await trio.sleep(2.5)
            assert await far.receive() == b"from near"
            far.abort()
            await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize(
    ("before", "after", "first"),
    [
        (BUS_SUBPROTOCOL, BUS_SUBPROTOCOL, b"\x01"),
        (BUS_SUBPROTOCOL, None, b"{"),
        (None, BUS_SUBPROTOCOL, b"{"),
        (None, None, b"{"),
    ],
)
async def test_what_waits_is_written_for_who_reads_it(
    before: str | None, after: str | None, first: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    """Audio in binary stays so for a peer that reads it; any peer reads JSON."""
    network = Late(before, after)
    proxy = client(open_wire=network.open_wire, reconnect=POLICY)
    async with running(proxy) as bus:
        await trio.sleep(1.5)
        network.far[0].abort()
        await trio.testing.wait_all_tasks_blocked()
        await bus.send(audio(1))
        await trio.sleep(2.5)
        message = await network.far[1].receive()
        assert isinstance(message, bytes)
        assert message[:1] == first


async def test_only_audio_is_old_when_it_has_waited(autojump_clock: trio.testing.MockClock) -> None:
    """While there is no connection so much of it may wait, on each connection as much as ever; all else waits whole."""
    network = Late(None, None, None)
    proxy = client(open_wire=network.open_wire, reconnect=POLICY)
    async with running(proxy) as bus:
        await trio.sleep(1.5)
        for lost, found in pairwise(network.far):
            assert proxy._outbox.max_audio_s == ProxySettings().outbox_audio_secs
            lost.abort()
            await trio.testing.wait_all_tasks_blocked()
            assert proxy._outbox.max_audio_s == 0.51
            for number in range(100):
                await bus.send(BusDataMessage(source="near", target="far", id=number))
                await bus.send(audio(number))
            assert proxy.statistics().waiting == 100 + 25
            await trio.sleep(2.5)
            got = list[BusMessage]()
            while messages := await received(found):
                got += messages
            assert len(got) == 100 + 25
            assert [message.id for message in got if not isinstance(message, BusFrameMessage)] == [*range(100)]


@MAKERS
async def test_what_was_lost_and_cannot_be_counted_is_not(
    make: MakeProxy, autojump_clock: trio.testing.MockClock
) -> None:
    proxy = make(wire_pair()[0])
    async with running(proxy) as bus:
        for missed, dropped in ((None, 0), (3, 3), (None, 3)):
            await bus.send(BusGapMessage(source="bus", missed=missed))
            await trio.testing.wait_all_tasks_blocked()
            assert proxy.statistics().dropped == dropped


@MAKERS
async def test_what_crosses_is_not_for_the_proxy_itself(
    make: MakeProxy, autojump_clock: trio.testing.MockClock
) -> None:
    """Where the end or the sleep of all others is forwarded, the proxy neither ends nor sleeps."""
    near, far = wire_pair()
    kinds = (BusDeactivateWorkerMessage, BusEndWorkerMessage)
    proxy = make(near, forward_messages=kinds)
    async with running(proxy) as bus:
        for kind in kinds:
            message = kind(source="near")
            await bus.send(message)
            assert await received(far) == [message]
            assert proxy.active
            assert proxy.is_connected


@MAKERS
async def test_nobody_talks_to_a_proxy(make: MakeProxy, autojump_clock: trio.testing.MockClock) -> None:
    """What is addressed to it, and is not of its own life, is not even queued: nobody would read it in time."""
    proxy = make(wire_pair()[0])
    async with running(proxy) as bus:
        assert proxy._life is not None
        before = proxy._life.subscription.statistics().received
        for message in (
            data("x", "proxy"),
            data("x", None),
            data("x", "far"),
            BusJobRequestMessage(source="x", target="proxy", job_id="1"),
        ):
            await bus.send(message)
        await trio.testing.wait_all_tasks_blocked()
        statistics = proxy._life.subscription.statistics()
        assert (statistics.received, statistics.waiting_data) == (before, 0)


async def test_a_proxy_that_shuts_down_before_it_is_joined_just_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A client that is told to sleep while it dials dials no more, and says nothing to anybody."""
    network = Late(None)
    proxy = client(open_wire=network.open_wire, reconnect=POLICY)
    async with running(proxy) as bus:
        await bus.send(BusDeactivateWorkerMessage(source="x", target="proxy"))
        await trio.sleep(10)
        assert not proxy.is_connected
        assert len(network._near) == 1
        assert proxy.statistics().connections == 0
    async with running(server(wire_pair()[0])) as bus:
        await bus.send(BusEndWorkerMessage(source="x", target="proxy"))


async def test_a_request_that_waits_ends_with_its_connection(autojump_clock: trio.testing.MockClock) -> None:
    """Who asked was told, so it is not done for nobody on the next one; all else is written there."""
    pairs = [wire_pair(buffer_messages=1), wire_pair()]
    remaining = [near for near, _ in pairs]

    @asynccontextmanager
    async def open_wire() -> AsyncIterator[Wire]:
        await trio.lowlevel.checkpoint()
        yield remaining.pop(0)

    proxy = client(open_wire=open_wire, reconnect=POLICY)
    async with running(proxy) as bus:
        for number in range(5):
            await bus.send(BusDataMessage(source="near", target="far", id=number))
        await bus.send(BusJobRequestMessage(source="near", target="far", job_id="1"))
        await trio.testing.wait_all_tasks_blocked()
        waiting = proxy.statistics().waiting
        pairs[0][1].abort()
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.statistics().waiting >= waiting - 1
        await trio.sleep(2)
        messages = await received(pairs[1][1])
        assert {type(message) for message in messages} == {BusDataMessage}
        assert messages[-1].id == 4


async def test_why_it_dials_again_is_told(autojump_clock: trio.testing.MockClock) -> None:
    """How the connection ended, each time."""
    network = Late(None, None, None)
    proxy = client(open_wire=network.open_wire, reconnect=POLICY)
    events = proxy.events()
    async with running(proxy):
        await trio.sleep(1.5)
        for code, far in zip((1001, 1013), network.far, strict=False):
            await far.aclose(code, "restart")
            await trio.sleep(2.5)
            told = [await events.receive() for _ in range(3)]
            assert [type(event) for event in told] == [ProxyConnected, ProxyDisconnected, Reconnecting]
            again = told[-1]
            assert isinstance(again, Reconnecting)
            assert isinstance(again.cause, ConnectionClosed)
            assert (again.cause.code, again.cause.reason) == (code, "restart")


@pytest.mark.parametrize(
    ("serializer", "subprotocols"), [(None, (BUS_SUBPROTOCOL,)), (JSON, (BUS_SUBPROTOCOL,)), (Own(), ())]
)
@pytest.mark.parametrize(
    ("headers", "pairs"),
    [(None, ()), ({}, ()), ({"authorization": "x", "b": "c"}, (("authorization", "x"), ("b", "c")))],
)
def test_what_a_client_dials_with(
    serializer: MessageSerializer | None,
    subprotocols: tuple[str, ...],
    headers: dict[str, str] | None,
    pairs: tuple[tuple[str, str], ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The headers that it was given, its timeout, and the subprotocol that says that it reads audio in binary."""
    given = dict[str, object]()

    class Dials:
        def __init__(self, **options: object) -> None:
            given.update(options)

        def connect(self) -> None: ...

    monkeypatch.setattr(of_clients, "Dialler", Dials)
    proxy = client(
        open_wire=None,
        headers=headers,
        serializer=serializer,
        settings=ProxySettings(connect_timeout=3, ping_timeout=5),
    )
    assert (given["headers"], given["subprotocols"], given["connect_timeout_s"]) == (pairs, subprotocols, 3)
    assert isinstance(given["settings"], WireSettings)
    assert given["settings"].ping_timeout_s == 5
    assert str(given["address"]) == "ws://test/bus"
    assert proxy._open_wire.__name__ == "connect"
