"""A server of proxies without its sockets: how many it takes, and what it says when its runner ends."""

from itertools import count

import pytest
import trio
import trio.testing

from tests.bus.proxies import wire_pair
from trio_transports.bus import WebSocketProxyServer, Worker, WorkerRunner
from trio_transports.bus.proxy.serving import _leave_with, _Serving
from trio_transports.bus.worker import END_TIMEOUT
from trio_transports.errors import ConnectionClosed
from trio_transports.wire import Wire
from trio_transports.wire.accepting.leaving import GOING_AWAY, Leaving
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
        server, far = serving(runner), list[MemoryWire]()

        async def come() -> None:
            near, wire = wire_pair()
            far.append(wire)
            nursery.start_soon(server.serve_wire, near)
            await trio.testing.wait_all_tasks_blocked()

        assert not server.is_full
        for _ in range(3):
            await come()
            assert (server.is_full, server.leaving.guests, len(runner.workers)) == (False, 1, 2)
            await come()
            assert (server.is_full, server.leaving.guests, len(runner.workers)) == (True, 2, 3)
            for left in (1, 0):
                await far.pop(0).aclose()
                await trio.testing.wait_all_tasks_blocked()
                assert (server.is_full, server.leaving.guests, len(runner.workers)) == (False, left, left + 1)
        runner.end()


async def test_a_proxy_that_cannot_be_made_takes_no_place(autojump_clock: trio.testing.MockClock) -> None:
    """Why is for whoever serves the connection."""

    def cannot(wire: Wire) -> WebSocketProxyServer:
        raise KeyError(wire.peer.address)

    runner = WorkerRunner("r")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Worker("near"))
        server = serving(runner, max_connections=1)
        server.make_proxy = cannot
        for _ in range(2):
            with pytest.raises(KeyError, match="memory"):
                await server.serve_wire(wire_pair()[0])
            assert not server.is_full
        runner.end()


async def test_who_comes_while_the_runner_ends_is_told_to_go(autojump_clock: trio.testing.MockClock) -> None:
    """At once, and no proxy is made for it."""
    runner = WorkerRunner("r")
    runner.end()
    server = serving(runner)
    near, far = wire_pair()
    await server.serve_wire(near)
    assert await closed(far) == GOING_AWAY
    assert not server.is_full


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
