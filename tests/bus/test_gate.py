"""A server of proxies without its sockets: how many it takes, and what it says when its runner ends."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import pytest
import trio
import trio.testing

from tests.bus.proxies import server, wire_pair
from trio_transports.bus import LocalBus, ProxySettings, WebSocketProxyServer, Worker, WorkerRunner, serve_proxies
from trio_transports.bus.proxy import server as of_proxies
from trio_transports.bus.proxy import serving as of_servers
from trio_transports.bus.proxy.serving import _leave_with, _Serving
from trio_transports.bus.worker import END_TIMEOUT
from trio_transports.errors import ConnectionClosed
from trio_transports.wire import Wire
from trio_transports.wire.accepting.callers import CallerCounts
from trio_transports.wire.accepting.door import DoorRules
from trio_transports.wire.accepting.leaving import GOING_AWAY, Leaving
from trio_transports.wire.accepting.limits import AddressLimits
from trio_transports.wire.memory import MemoryWire

NUMBERS = count()


def gate(wire: Wire) -> WebSocketProxyServer:
    number = next(NUMBERS)
    return WebSocketProxyServer(
        f"gate {number}", websocket=wire, worker_name="near", remote_worker_name=f"far {number}"
    )


def serving(runner: WorkerRunner, **options: int) -> _Serving:
    return _Serving(
        runner=runner, make_proxy=gate, **({"max_connections": 2} | options), close_timeout_s=2, leaving=Leaving()
    )


async def closed(wire: MemoryWire) -> tuple[int, str]:
    """How the peer sees the end."""
    try:
        await wire.receive()
    except ConnectionClosed as exc:
        return exc.code, exc.reason
    raise AssertionError("it was sent something")


async def test_a_server_is_full_with_so_many_connections(autojump_clock: trio.testing.MockClock) -> None:
    """Each that ends makes room for one; and so again."""
    runner = WorkerRunner("r")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Worker("near"))
        gates, far = serving(runner), list[MemoryWire]()

        async def come() -> None:
            near, wire = wire_pair()
            far.append(wire)
            nursery.start_soon(gates.serve_wire, near)
            await trio.testing.wait_all_tasks_blocked()

        assert not gates.is_full
        for _ in range(3):
            await come()
            assert (gates.is_full, gates.leaving.guests, len(runner.workers)) == (False, 1, 2)
            await come()
            assert (gates.is_full, gates.leaving.guests, len(runner.workers)) == (True, 2, 3)
            for left in (1, 0):
                await far.pop(0).aclose()
                await trio.testing.wait_all_tasks_blocked()
                assert (gates.is_full, gates.leaving.guests, len(runner.workers)) == (False, left, left + 1)
        runner.end()


async def test_a_proxy_that_cannot_be_made_takes_no_place(autojump_clock: trio.testing.MockClock) -> None:
    """Why is for whoever serves the connection."""

    def cannot(wire: Wire) -> WebSocketProxyServer:
        raise KeyError(wire.peer.address)

    runner = WorkerRunner("r")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Worker("near"))
        gates = serving(runner, max_connections=1)
        gates.make_proxy = cannot
        for _ in range(2):
            with pytest.raises(KeyError, match="memory"):
                await gates.serve_wire(wire_pair()[0])
            assert not gates.is_full
        runner.end()


async def test_who_comes_while_the_runner_ends_is_told_to_go(autojump_clock: trio.testing.MockClock) -> None:
    """At once, and no proxy is made for it."""
    runner = WorkerRunner("r")
    runner.end()
    gates = serving(runner)
    near, far = wire_pair()
    await gates.serve_wire(near)
    assert await closed(far) == GOING_AWAY
    assert not gates.is_full


async def test_a_server_leaves_with_its_runner(autojump_clock: trio.testing.MockClock) -> None:
    """Not before that, and those that are connected have the time that the runner gives its workers."""
    runner, leaving = WorkerRunner("r"), Leaving()

    async def farewell() -> None: ...

    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Worker("near"))
        nursery.start_soon(_leave_with, runner, leaving)
        with leaving.guest(farewell):
            await trio.sleep(10)
            begun = [leaving.has_begun]
            runner.end()
            ended_s = trio.current_time()
            await trio.testing.wait_all_tasks_blocked()
            begun.append(leaving.has_begun)
            assert begun == [False, True]
            assert leaving._serving.deadline == ended_s + END_TIMEOUT


class Doors:
    """Stands in the place of the doors of servers: what each was given, and whether it lets anybody in."""

    def __init__(self) -> None:
        self.rules: list[DoorRules] = []
        self.counts: list[CallerCounts] = []
        self.leaving: list[Leaving] = []
        self.listens: list[object] = []

    def __call__(self, rules: DoorRules, engine: object, is_full: Callable[[], bool], counts: CallerCounts) -> "Doors":
        assert not is_full()
        self.rules.append(rules)
        self.counts.append(counts)
        return self

    async def serve(
        self,
        serve_wire: Callable[[Wire], Awaitable[None]],
        leaving: Leaving,
        *,
        on_listening: Callable[[tuple[tuple[str, int], ...]], None],
        **where: object,
    ) -> None:
        self.leaving.append(leaving)
        self.listens.append(where)

        async def listen() -> None:
            on_listening((("here", 7),))
            await trio.sleep_forever()

        await leaving.serve(listen, close_timeout_s=1)


async def test_a_server_has_what_it_was_given_and_else_its_own(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits, counts, settings and its way out; it tells where it listens, and ends with its runner."""
    doors = Doors()
    monkeypatch.setattr(of_servers, "Door", doors)
    limits, counts, leaving = AddressLimits(max_connections_per_address=7), CallerCounts(), Leaving()
    settings = ProxySettings(connect_timeout=3, close_timeout=4, ping_timeout=5)
    given: dict[str, Any] = {"limits": limits, "counts": counts, "leaving": leaving, "settings": settings}
    for options in (given, dict[str, Any]()):
        runner = WorkerRunner("r")
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run, Worker("near"))
            ready = await nursery.start(partial(serve_proxies, runner, gate, host="h", port=9, **options))
            assert ready.addresses == (("here", 7),)
            await trio.sleep(10)
            begun = [doors.leaving[-1].has_begun]
            runner.end()
            await trio.testing.wait_all_tasks_blocked()
            begun.append(doors.leaving[-1].has_begun)
            assert begun == [False, True]
    assert doors.listens == [{"host": "h", "port": 9, "ssl_context": None}] * 2
    assert (doors.rules[0].limits, doors.counts[0], doors.leaving[0]) == (limits, counts, leaving)
    assert (doors.rules[1].limits, doors.rules[1].wires) == (AddressLimits(), ProxySettings().wires)
    assert doors.counts[1] is not counts
    assert doors.leaving[1] is not leaving
    rules = doors.rules[0]
    assert (rules.connect_timeout_s, rules.close_timeout_s, rules.wires) == (3, 4, settings.wires)


async def test_a_client_that_goes_before_it_is_accepted_is_nobodys_failure(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its proxy ends, and the log says so where somebody wants to know."""

    @asynccontextmanager
    async def gone(websocket: object, **options: object) -> AsyncIterator[Wire]:
        await trio.lowlevel.checkpoint()
        raise ConnectionClosed(1006, "gone", initiator="error")
        yield  # type: ignore[unreachable]

    monkeypatch.setattr(of_proxies, "handed_wire", gone)
    caplog.set_level(logging.INFO, of_proxies.__name__)
    proxy = server(wire_pair()[0])
    await proxy.run(LocalBus())
    assert not proxy.is_connected
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage().startswith("proxy: the client was gone before the handshake ended: ")
