"""Proxies with hostile, slow and vanishing peers."""

from collections.abc import Callable
from contextlib import suppress

import pytest
import trio
import trio.testing

from tests.bus.proxies import JSON, MAKERS, data, on_the_bus, received, running, server, wire_pair
from trio_transports.bus import (
    BUS_SUBPROTOCOL,
    BusActivateWorkerMessage,
    BusCancelMessage,
    BusDataMessage,
    BusEndWorkerMessage,
    LocalBus,
    ProxyConnected,
    ProxyDisconnected,
    ProxySettings,
    Worker,
    WorkerRunner,
)
from trio_transports.bus.proxy.base import Proxy
from trio_transports.errors import ConnectionClosed

HOSTILE: list[str | bytes] = [
    "",
    b"\xff\x00",
    b"\x01",
    "null",
    "[" * 100_000,
    '{"__type__":"os.system","__data__":{"command":"true"}}',
    '{"__type__":"builtins.exec","__data__":{}}',
    '{"__type__":"pipecat.bus.messages.BusAddWorkerMessage","__data__":{"source":"far","target":"near","worker":1}}',
    '{"__type__":"pipecat.bus.messages.BusDataMessage","__data__":{"source":5,"target":"near"}}',
    b" " * 2_000_000,
    "x" * 2_000_000,
]


@MAKERS
@pytest.mark.parametrize("subprotocol", [None, BUS_SUBPROTOCOL])
async def test_hostile_messages_are_counted_and_the_connection_lives(
    make: Callable[..., Proxy],
    subprotocol: str | None,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Unknown names, deep nesting, wrong types and 2 MB are refused, counted, logged once, and the next one is read."""
    near, far = wire_pair(subprotocol)
    proxy = make(near)
    async with running(proxy) as bus:
        reader = bus.subscribe("reader")
        for message in HOSTILE:
            await far.send(message)
        await far.send(JSON.encode(data("far", "near")))
        assert await on_the_bus(reader) == [data("far", "near")]
        assert proxy.statistics().malformed + proxy.statistics().unknown == len(HOSTILE)
        assert proxy.statistics().unknown == sum("__type__" in str(message) for message in HOSTILE) - 1
        assert proxy.is_connected
    assert len(caplog.records) == 1
    assert "cannot be read" in caplog.text
    assert len(caplog.text) < 2000


@MAKERS
async def test_a_peer_that_sends_only_garbage_is_closed(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """After ``max_malformed`` unreadable messages in a row the connection closes with 1008; a good one starts anew."""
    near, far = wire_pair()
    proxy = make(near, settings=ProxySettings(max_malformed=5))
    bus = LocalBus()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(proxy.run, bus)
            for _ in range(3):
                for _ in range(4):
                    await far.send("garbage")
                await far.send(JSON.encode(data("far", "near")))
            await trio.testing.wait_all_tasks_blocked()
            assert proxy.is_connected
            for _ in range(5):
                await far.send("garbage")
    with pytest.raises(ConnectionClosed) as info:
        await far.receive()
    assert (info.value.code, info.value.initiator) == (1008, "remote")
    assert proxy.statistics().malformed == 17


async def test_a_peer_cannot_end_what_is_not_its_own(autojump_clock: trio.testing.MockClock) -> None:
    """With ``accepts_lifecycle`` a peer may end the worker joined to it, and neither the runner nor the proxy."""
    near, far = wire_pair()
    runner = WorkerRunner("r")
    allowed = (BusCancelMessage, BusEndWorkerMessage)
    proxy, other = server(near, accepts_lifecycle=allowed), Worker("other")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Worker("near"), other, proxy)
        for target in ("near", None, "r", "other", "proxy"):
            await far.send(JSON.encode(BusCancelMessage(source="far", target=target)))
            await far.send(JSON.encode(BusEndWorkerMessage(source="far", target=target)))
        await trio.testing.wait_all_tasks_blocked()
        assert [worker.name for worker in runner.workers] == ["other", "proxy"]
        assert proxy.statistics().refused == 8
        runner.end()


async def test_messages_that_cannot_be_written_cost_only_themselves(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A message of the local worker that the serializer refuses is counted, and the next one is sent."""
    near, far = wire_pair()
    proxy = server(near)
    async with running(proxy) as bus:
        for _ in range(3):
            await bus.send(BusActivateWorkerMessage(source="near", target="far", args={"a": object()}))
        await bus.send(data("near", "far"))
        assert await received(far) == [data("near", "far")]
        assert proxy.statistics().unsendable == 3
    assert len(caplog.records) == 1


@MAKERS
async def test_a_slow_peer_loses_its_oldest_data_and_blocks_nobody(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """A peer that does not read fills its own outbox; senders and others go on, and what it lost is counted."""
    near, far = wire_pair(buffer_messages=2)
    proxy = make(near, settings=ProxySettings(outbox_messages=10, send_timeout=1000))
    async with running(proxy) as bus:
        other = bus.subscribe("other")
        for number in range(100):
            await bus.send(BusDataMessage(source="near", target="far", id=number))
            await trio.testing.wait_all_tasks_blocked()
        await bus.send(BusCancelMessage(source="near", target="far"))
        assert len(await on_the_bus(other)) == 101
        ids: list[object] = []
        while len(ids) < 13:
            got = await received(far)
            ids += ["system" if isinstance(m, BusCancelMessage) else m.id for m in got]
        assert ids == [0, 1, 2, "system", *range(91, 100)]
        assert proxy.statistics().dropped == 88


@MAKERS
async def test_a_peer_that_stops_reading_loses_its_connection(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """A write that takes longer than ``send_timeout`` ends the connection; ProxyDisconnected says so."""
    near, _far = wire_pair(buffer_messages=1)
    proxy = make(near, settings=ProxySettings(send_timeout=3))
    events = proxy.events()
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run, bus := LocalBus())
        for number in range(3):
            await bus.send(BusDataMessage(source="near", target="far", id=number))
    assert trio.current_time() - began_s == pytest.approx(3)
    peer = near.peer
    reason = "the peer did not take a message within send_timeout (3 s)"
    assert [event async for event in events] == [ProxyConnected(peer), ProxyDisconnected(peer, 1006, reason, "error")]


@MAKERS
@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("close", (1000, "bye", "remote")),
        ("abort", (1006, "connection lost", "error")),
        ("end", (1000, "the proxy ends", "local")),
        ("cancel", (1001, "the proxy was cancelled", "local")),
    ],
)
async def test_connected_and_disconnected_are_told_once(
    make: Callable[..., Proxy], end: str, told: tuple[int, str, str], autojump_clock: trio.testing.MockClock
) -> None:
    """Each connection is told once at its start and once at its end, with its code, reason and who ended it."""
    near, far = wire_pair()
    proxy = make(near)
    events = proxy.events()
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run, bus := LocalBus())
        await trio.testing.wait_all_tasks_blocked()
        match end:
            case "close":
                await far.aclose(1000, "bye")
            case "abort":
                far.abort()
            case "end":
                await bus.send(BusEndWorkerMessage(source="x", target="proxy"))
            case _:
                nursery.cancel_scope.cancel()
    assert [event async for event in events] == [ProxyConnected(near.peer), ProxyDisconnected(near.peer, *told)]  # type: ignore[arg-type]
    if told[2] == "local":
        with pytest.raises(ConnectionClosed) as info:
            await far.receive()
        assert (info.value.code, info.value.reason) == told[:2]


@MAKERS
async def test_a_good_end_writes_what_waits(make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock) -> None:
    """A proxy told to end writes what waits for its peer before it closes, within the runner's grace."""
    near, far = wire_pair(buffer_messages=1)
    proxy = make(near)
    got: list[int] = []

    async def slow_reader() -> None:
        try:
            while True:
                got.append(JSON.decode(await far.receive()).id)
                await trio.sleep(0.1)
        except ConnectionClosed:
            pass

    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run, bus := LocalBus())
        await trio.testing.wait_all_tasks_blocked()
        for number in range(20):
            await bus.send(BusDataMessage(source="near", target="far", id=number))
        await bus.send(BusEndWorkerMessage(source="x", target="proxy"))
        nursery.start_soon(slow_reader)
    assert got == list(range(20))


@MAKERS
async def test_a_peer_that_never_answers_does_not_hold_the_end(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """Closing towards a peer that answers nothing takes ``close_timeout`` and no longer."""
    near, far = wire_pair()
    far.unresponsive = True
    proxy = make(near, settings=ProxySettings(close_timeout=2))
    began_s = trio.current_time()
    async with running(proxy):
        pass
    assert trio.current_time() - began_s == pytest.approx(2)


@MAKERS
async def test_a_cancellation_at_any_moment_leaves_nothing(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """Cancelled after any number of steps, a proxy has left the bus and its wire is over for both sides."""
    for steps in range(150):
        near, far = wire_pair(buffer_messages=1)
        bus = LocalBus()
        proxy = make(near)
        events = proxy.events()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(proxy.run, bus)
            for step in range(steps):
                if step % 7 == 3:
                    await bus.send(data("near", "far"))
                elif step % 7 == 5 and not far._is_full:
                    nursery.start_soon(far.send, JSON.encode(data("far", "near")))
                elif step % 11 == 7 and far._arrived:
                    await far.receive()
                else:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert repr(bus) == "<LocalBus with 0 subscribers>"
        told = [type(event) for event in [event async for event in events]] if proxy.statistics().connections else []
        assert told in ([], [ProxyConnected, ProxyDisconnected])
        assert not proxy.is_connected
        near.abort()  # a wire that was never taken is the caller's
        with suppress(ConnectionClosed):
            while True:
                await far.receive()
