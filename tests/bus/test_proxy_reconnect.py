"""The client proxy over lost connections."""

import gc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from typing import final

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.bus.proxies import JSON, audio, client, data, received, running, wire_pair
from trio_transports.bus import (
    BUS_SUBPROTOCOL,
    BusActivateWorkerMessage,
    BusDataMessage,
    BusDeactivateWorkerMessage,
    BusMessage,
    BusWorkerRegistryMessage,
    LocalBus,
    ProxyConnected,
    ProxyDisconnected,
    ProxyEvent,
    Worker,
    WorkerRunner,
)
from trio_transports.errors import ConnectionClosed, HandshakeRejected, TransportError
from trio_transports.params import ReconnectPolicy
from trio_transports.session.broadcast import EventsLost
from trio_transports.session.events import Reconnecting
from trio_transports.session.sizes import MAX_EVENT_BYTES
from trio_transports.wire import Peer, Wire
from trio_transports.wire.memory import MemoryWire

POLICY = ReconnectPolicy(initial_delay=1, max_delay=8, jitter=0)


@final
@define(eq=False)
class Network:
    """Gives a client a new wire at each dial, and the far ends to the test."""

    subprotocols: list[str | None] = field(factory=list)
    fails: int = 0
    error: Exception | None = None
    far: list[MemoryWire] = field(factory=list)
    dials: list[float] = field(factory=list)
    is_up: bool = True

    def open_wire(self) -> AbstractAsyncContextManager[Wire]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Wire]:
        await trio.lowlevel.checkpoint()
        self.dials.append(trio.current_time())
        if not self.is_up:
            raise self.error or TransportError("the network is down")
        near, far = wire_pair(self.subprotocols.pop(0) if self.subprotocols else None)
        self.far.append(far)
        yield near


async def test_without_a_policy_a_lost_connection_ends_the_proxy(autojump_clock: trio.testing.MockClock) -> None:
    """Without ``reconnect`` the worker ends with its connection, and a dial that fails is raised."""
    network = Network()
    proxy = client(open_wire=network.open_wire)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run, LocalBus())
        await trio.testing.wait_all_tasks_blocked()
        await network.far[0].aclose(1000)
    network.is_up = False
    with pytest.raises(TransportError, match="the network is down"):
        await client(open_wire=network.open_wire).run(LocalBus())


async def test_a_lost_connection_comes_back_in_order(autojump_clock: trio.testing.MockClock) -> None:
    """Over several losses the registry is told anew, messages keep their order, and none that waited is lost."""
    network = Network()
    runner = WorkerRunner("r")
    proxy = client(open_wire=network.open_wire, reconnect=POLICY)
    events = proxy.events()
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Worker("near"), proxy)
        got: list[BusMessage] = []
        for round_ in range(4):
            await trio.testing.wait_all_tasks_blocked()
            for number in range(5):
                await runner.bus.send(BusDataMessage(source="near", target="far", id=10 * round_ + number))
            messages = await received(network.far[round_])
            got += messages
            assert isinstance(messages[0], BusWorkerRegistryMessage)
            if round_ % 2:
                network.far[round_].abort()
            else:
                await network.far[round_].aclose(1000, "restart")
            await trio.testing.wait_all_tasks_blocked()
            for number in range(5, 10):
                await runner.bus.send(BusDataMessage(source="near", target="far", id=10 * round_ + number))
            await trio.sleep(20)
        got += await received(network.far[4])
        runner.end()
    ids = [message.id for message in got if isinstance(message, BusDataMessage)]
    assert ids == list(range(40))
    kinds = [type(event) for event in await _all(events)]
    assert kinds == [*[ProxyConnected, ProxyDisconnected, Reconnecting] * 4, ProxyConnected, ProxyDisconnected]
    assert proxy.statistics().connections == 5


async def _all(events: trio.abc.ReceiveChannel[ProxyEvent]) -> list[ProxyEvent | EventsLost]:
    return [event async for event in events]


async def test_dialling_backs_off_and_gives_up(autojump_clock: trio.testing.MockClock) -> None:
    """Dials that fail are spaced by the policy, told as Reconnecting, and given up with an error that says how many."""
    network = Network(is_up=False)
    policy = ReconnectPolicy(initial_delay=1, max_delay=4, jitter=0, max_attempts=5)
    proxy = client(open_wire=network.open_wire, reconnect=policy)
    events = proxy.events()
    began_s = trio.current_time()
    with pytest.raises(
        TransportError, match="gave up after 5 attempts to connect to ws://test/bus: the network is down"
    ):
        await proxy.run(LocalBus())
    assert [at - began_s for at in network.dials] == pytest.approx([0, 1, 3, 7, 11, 15])
    told = [event for event in await _all(events) if isinstance(event, Reconnecting)]
    assert [(event.attempt, event.delay) for event in told] == [(1, 1), (2, 2), (3, 4), (4, 4), (5, 4)]


async def test_a_server_that_drops_at_once_is_not_hammered(autojump_clock: trio.testing.MockClock) -> None:
    """Connections that last less than five seconds count as failed attempts; one that lasts starts the count anew."""
    network = Network()
    proxy = client(open_wire=network.open_wire, reconnect=POLICY)
    async with running(proxy):
        for _ in range(2):
            first = len(network.dials) - 1
            for drops in range(1, 6):
                await trio.sleep(1)
                await network.far[-1].aclose(1013)
                await trio.sleep(POLICY.delay_s(drops, 0.5) + 0.1)
            waited_s = [later_s - earlier_s for earlier_s, later_s in pairwise(network.dials[first + 1 :])]
            assert waited_s == pytest.approx([3.1, 5.1, 9.1, 9.1])
            await trio.sleep(6)
        before = len(network.dials)
        await network.far[-1].aclose(1001)
        await trio.sleep(1.5)
        assert len(network.dials) == before + 1


@pytest.mark.parametrize("most", [1, 4])
async def test_a_server_that_accepts_and_drops_is_given_up(most: int, autojump_clock: trio.testing.MockClock) -> None:
    """Being let in is no success: past ``max_attempts`` connections that did not last the client says so and ends."""
    network = Network()
    policy = ReconnectPolicy(initial_delay=1, max_delay=4, jitter=0, max_attempts=most)
    proxy = client(open_wire=network.open_wire, reconnect=policy)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def drop() -> None:
            while True:
                await trio.sleep(0.5)
                if network.far:
                    await network.far[-1].aclose(1013)

        with trio.fail_after(1000), pytest.raises(TransportError, match=f"gave up after {most} attempts"):
            await proxy.run(LocalBus())
        nursery.cancel_scope.cancel()
    assert len(network.dials) == 1 + most


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_is_final(status: int, autojump_clock: trio.testing.MockClock) -> None:
    """A server that says 401 or 403 is not asked again, policy or not."""
    network = Network(is_up=False, error=HandshakeRejected(status))
    with pytest.raises(HandshakeRejected):
        await client(open_wire=network.open_wire, reconnect=POLICY).run(LocalBus())
    assert len(network.dials) == 1


async def test_old_audio_does_not_wait_for_a_connection(autojump_clock: trio.testing.MockClock) -> None:
    """While disconnected only the newest ``max_queued_audio_secs`` of audio are kept; all else waits in order."""
    network = Network(subprotocols=[BUS_SUBPROTOCOL] * 2)
    proxy = client(open_wire=network.open_wire, reconnect=POLICY)
    async with running(proxy) as bus:
        network.far[0].abort()
        await trio.testing.wait_all_tasks_blocked()
        await bus.send(BusDataMessage(source="near", target="far", id=1000))
        for number in range(200):  # four seconds
            await bus.send(audio(number))
        await trio.sleep(1.5)
        messages = await received(network.far[1])
        assert [m.id for m in messages] == [1000, *range(151, 200)] or [m.id for m in messages] == [
            1000,
            *range(150, 200),
        ]


async def test_inactive_means_disconnected(autojump_clock: trio.testing.MockClock) -> None:
    """A client made inactive dials when it is activated, and closes with 1000 when deactivated: again and again."""
    network = Network()
    proxy = client(open_wire=network.open_wire, reconnect=POLICY, active=False)
    async with running(proxy) as bus:
        await trio.sleep(100)
        assert network.dials == []
        for round_ in range(3):
            await bus.send(BusActivateWorkerMessage(source="x", target="proxy"))
            await trio.testing.wait_all_tasks_blocked()
            assert proxy.is_connected
            await bus.send(data("near", "far"))
            await bus.send(BusDeactivateWorkerMessage(source="x", target="proxy"))
            assert await received(network.far[round_]) == [data("near", "far")]
            with pytest.raises(ConnectionClosed) as info:
                await network.far[round_].receive()
            assert info.value.code == 1000
            await trio.sleep(100)
            assert not proxy.is_connected


async def test_activation_and_deactivation_may_be_said_twice(autojump_clock: trio.testing.MockClock) -> None:
    """Or one right behind the other: what was said last holds."""
    network = Network()
    proxy = client(open_wire=network.open_wire, reconnect=POLICY, active=False)
    async with running(proxy) as bus:

        async def after(*kinds: type[BusActivateWorkerMessage] | type[BusDeactivateWorkerMessage]) -> bool:
            for kind in kinds:
                bus.send_now(kind(source="x", target="proxy"))
            await trio.sleep(100)
            return proxy.is_connected

        on, off = BusActivateWorkerMessage, BusDeactivateWorkerMessage
        for _ in range(2):
            said = ((off, off), (on, on), (off, off), (on, off), (on,), (off, on), (off,))
            assert [await after(*kinds) for kinds in said] == [False, True, False, False, True, True, False]


async def test_a_peer_that_forgot_the_subprotocol_gets_json(autojump_clock: trio.testing.MockClock) -> None:
    """What waited in binary for a peer that comes back without the subprotocol is written anew, as JSON."""
    network = Network(subprotocols=[BUS_SUBPROTOCOL, None])
    proxy = client(open_wire=network.open_wire, reconnect=POLICY)
    async with running(proxy) as bus:
        network.far[0].abort()
        await trio.testing.wait_all_tasks_blocked()
        await bus.send(audio(1))
        await trio.sleep(2)
        assert JSON.decode(await network.far[1].receive()) == audio(1)


async def test_events_that_nobody_reads_are_bounded_in_bytes() -> None:
    """Each names a peer with all it said of itself: a megabyte of them is kept, the newest, and the rest is told."""
    proxy = client()
    events = proxy.events()
    peer = Peer(address="far", headers=(("cookie", "x" * 50_000),))
    for _ in range(2):
        for code in range(4000, 4050):
            proxy._events.emit(ProxyDisconnected(peer, code, "", "remote"))
        lost = await events.receive()
        assert isinstance(lost, EventsLost)
        assert 0.9 * MAX_EVENT_BYTES < (50 - lost.count) * 50_000 <= MAX_EVENT_BYTES
        for code in range(4000 + lost.count, 4050):
            assert await events.receive() == ProxyDisconnected(peer, code, "", "remote")


async def test_events_that_are_kept_keep_no_message(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever keeps what a proxy told, and how its connections ended, keeps nothing of what was read. Three times."""

    def alive() -> int:
        gc.collect()
        return sum(isinstance(each, BusDataMessage) and each.source == "far" for each in gc.get_objects())

    network, kept = Network(), list[object]()
    proxy = client(open_wire=network.open_wire, reconnect=POLICY)
    events = proxy.events()
    async with running(proxy):
        for loss in range(1, 4):
            for _ in range(5):
                await network.far[-1].send(JSON.encode(data("far", "near")))
            await trio.testing.wait_all_tasks_blocked()
            await network.far[-1].aclose(1001)
            await trio.sleep(10)
            assert len(network.dials) == loss + 1
        while sum(isinstance(event, Reconnecting) for event in kept) < 3:
            kept.append(await events.receive())
        assert alive() == 0
