"""The standalone server for proxies: many clients, and none that can end it."""

import json
import logging
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trustme

from tests.real.asgi.raw_peer import CLOSE, TEXT, frame, raw_peer
from tests.real.bus.waiting import QUICK, until
from trio_transports.bus import (
    BUS_SUBPROTOCOL,
    BusFrameMessage,
    BusMessage,
    LocalBus,
    ProxyConnected,
    ProxyDisconnected,
    ProxySettings,
    WebSocketProxyClient,
    WebSocketProxyServer,
    Worker,
    WorkerRunner,
    serve_proxies,
)
from trio_transports.errors import HandshakeRejected
from trio_transports.frames import TextFrame
from trio_transports.wire import Peer, Wire
from trio_transports.wire.accepting.callers import CallerCounts, Callers
from trio_transports.wire.accepting.leaving import Leaving
from trio_transports.wire.accepting.limits import AddressLimits
from trio_transports.wire.engines import ENGINES


class Echo(Worker):
    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusFrameMessage):
            await self.send(BusFrameMessage(source=self.name, target=message.source, frame=message.frame))


def gateway(wire: Wire) -> WebSocketProxyServer:
    """One proxy for each client; the path says who the client is."""
    remote = wire.peer.path.strip("/")
    return WebSocketProxyServer(f"gateway {wire.peer}", websocket=wire, worker_name="far", remote_worker_name=remote)


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[int, WorkerRunner, trio.Nursery]]:  # noqa: ANN401
    runner = WorkerRunner("server")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Echo("far"))
        given: dict[str, Any] = {"make_proxy": gateway, "host": "127.0.0.1"} | options
        serve = partial(serve_proxies, runner, **given)
        async with trio.open_nursery() as server:
            ready = await server.start(serve)
            yield ready.port, runner, server
            server.cancel_scope.cancel()
        runner.cancel()


def client(port: int, name: str, **options: Any) -> WebSocketProxyClient:  # noqa: ANN401 - any option of the proxy
    return WebSocketProxyClient(
        f"proxy of {name}",
        **({"url": f"ws://127.0.0.1:{port}/{name}"} | options),
        remote_worker_name="far",
        local_worker_name=name,
    )


async def ask(bus: LocalBus, name: str, text: str) -> None:
    """Send ``text`` to the worker at the other end, and wait until it is back."""
    reader = bus.subscribe(name, accepts=lambda message: message.target == name)
    await bus.send(BusFrameMessage(source=name, target="far", frame=TextFrame(text=text)))
    while True:
        message = await reader.receive()
        if isinstance(message, BusFrameMessage):
            assert message.frame == TextFrame(text=text)
            reader.close()
            return


async def test_many_clients_at_once() -> None:
    """Each of several clients is joined to the worker by a proxy of its own, and gets its own answers."""
    with trio.fail_after(20):
        async with serving() as (port, runner, _), trio.open_nursery() as nursery:
            async with trio.open_nursery() as asking:
                for number in range(10):
                    name, bus = f"near-{number}", LocalBus()
                    proxy = client(port, name)
                    events = proxy.events()
                    await nursery.start(proxy.run, bus)
                    connected = await events.receive()
                    assert isinstance(connected, ProxyConnected)
                    assert connected.peer.subprotocol == BUS_SUBPROTOCOL
                    asking.start_soon(ask, bus, name, f"hello from {name}")
            assert len(runner.workers) == 11
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["end", "cancel"])
async def test_a_runner_that_ends_ends_its_server(how: str, caplog: pytest.LogCaptureFixture) -> None:
    """``serve_proxies`` returns when its runner has ended, its clients are told so, and nothing is logged as failed."""
    runner = WorkerRunner("server")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run, Echo("far"))
            ready = await nursery.start(partial(serve_proxies, runner, gateway, host="127.0.0.1"))
            near = client(ready.port, "near")
            events = near.events()
            await nursery.start(near.run, bus := LocalBus())
            await ask(bus, "near", "one")
            getattr(runner, how)()
        told = [event async for event in events if isinstance(event, ProxyDisconnected)]
    assert [(event.code, event.initiator) for event in told] == [(1000 if how == "end" else 1001, "remote")]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_proxy_that_cannot_be_made_ends_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    """A failure in ``make_proxy``, or a name that is taken, is logged, and the server goes on."""
    caplog.set_level(logging.ERROR)

    def make(wire: Wire) -> WebSocketProxyServer:
        if wire.peer.path == "/bad":
            raise ZeroDivisionError
        return WebSocketProxyServer("gateway", websocket=wire, worker_name="far", remote_worker_name="near")

    with trio.fail_after(20):
        async with serving(make_proxy=make) as (port, _, _), trio.open_nursery() as nursery:
            await nursery.start(client(port, "near").run, bus := LocalBus())
            await ask(bus, "near", "one")
            await client(port, "bad").run(LocalBus())
            await client(port, "second").run(LocalBus())
            await ask(bus, "near", "two")
            nursery.cancel_scope.cancel()
    assert len(caplog.records) == 2
    assert "ZeroDivisionError" in caplog.text
    assert "already runs here" in caplog.text


async def test_who_is_not_let_in() -> None:
    """A client that ``authorize`` refuses gets its status, and there is no proxy."""

    async def authorize(peer: Peer) -> bool:
        return peer.header("Authorization") == "Bearer right"

    with trio.fail_after(20):
        async with serving(authorize=authorize) as (port, runner, _), trio.open_nursery() as nursery:
            with pytest.raises(HandshakeRejected) as info:
                await client(port, "near", reconnect=QUICK).run(LocalBus())
            assert info.value.status == 401
            assert len(runner.workers) == 1
            await nursery.start(client(port, "near", headers={"Authorization": "Bearer right"}).run, bus := LocalBus())
            await ask(bus, "near", "hello")
            nursery.cancel_scope.cancel()


async def test_a_full_server_says_so() -> None:
    """A client past ``max_connections`` is told 1013, and those before it are kept."""
    with trio.fail_after(20):
        async with serving(max_connections=1) as (port, _, _), trio.open_nursery() as nursery:
            await nursery.start(client(port, "near").run, bus := LocalBus())
            await ask(bus, "near", "one")
            second = client(port, "second")
            events = second.events()
            await second.run(LocalBus())
            told = [event async for event in events]
            assert [event.code for event in told if isinstance(event, ProxyDisconnected)] == [1013]
            await ask(bus, "near", "two")
            nursery.cancel_scope.cancel()


async def test_cancelling_the_server_tells_every_client() -> None:
    """A server that is cancelled says 1001 to each client; one with a policy dials again."""
    with trio.fail_after(20):
        async with serving() as (port, _, server), trio.open_nursery() as nursery:
            proxy = client(port, "near")
            events = proxy.events()
            await nursery.start(proxy.run, bus := LocalBus())
            await ask(bus, "near", "hello")
            server.cancel_scope.cancel()
            told = [event async for event in events]
            assert [(e.code, e.initiator) for e in told if isinstance(e, ProxyDisconnected)] == [(1001, "remote")]


async def test_over_tls() -> None:
    """With an ``ssl_context`` on both sides the pair is joined over TLS."""
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    with trio.fail_after(20):
        async with (
            serving(host="localhost", ssl_context=server_context) as (port, _, _),
            trio.open_nursery() as nursery,
        ):
            options = {"url": f"wss://localhost:{port}/near", "settings": ProxySettings(ssl_context=client_context)}
            await nursery.start(client(port, "near", **options).run, bus := LocalBus())
            await ask(bus, "near", "hello")
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "limit", [{"max_messages_per_second": 1}, {"max_bytes_per_second": 1000}], ids=lambda given: next(iter(given))
)
@pytest.mark.parametrize("engine", ENGINES)
async def test_who_came_and_who_sends_too_fast_is_counted(engine: str, limit: dict[str, float]) -> None:
    """1008 after the burst, and a request that is none: each counted by its cause, twice; others are served."""
    counts = CallerCounts()
    ((name, most),) = limit.items()
    why = f"more than {most} {name.split('_')[1]} a second"
    with trio.fail_after(20):
        async with (
            serving(**limit, counts=counts, engine=engine) as (port, _, _),
            trio.open_nursery() as nursery,
        ):
            await nursery.start(client(port, "near").run, bus := LocalBus())
            await ask(bus, "near", "one")
            for turn in (1, 2):
                async with raw_peer(port) as peer:
                    await peer.upgrade(f"/flood-{turn}")
                    assert peer.status == 101
                    await peer.send(frame(TEXT, b"{" + b" " * 498 + b"}") * 20)
                    told = await peer.read_to_close()
                    assert (told.close_code, told.close_reason) == (1008, why)
                    await peer.send(frame(CLOSE, told.payload))
                    await peer.wait_eof()
                async with raw_peer(port) as peer:
                    await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
                    await peer.read_head()
                    assert peer.status == 405
                    await peer.wait_eof()
                await until(lambda: counts.callers().connections == 1)
                assert counts.callers() == Callers(
                    connections=1, let_in=1 + turn, turned_away={"rate": turn, "request": turn}
                )
            nursery.cancel_scope.cancel()


async def page(port: int) -> tuple[int, object]:
    """The answer of the health page: its status, and what it says."""
    async with raw_peer(port) as peer:
        await peer.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await peer.read_head()
        return peer.status, json.loads(await peer.read_rest())


async def asked(port: int, path: str) -> int:
    """What a caller that is not to get in is answered, before its connection ends."""
    async with raw_peer(port) as peer:
        await peer.upgrade(path)
        await peer.wait_eof()
        return peer.status


def told_to_leave(how: str, leaving: Leaving, seconds: float) -> None:
    """By a call, or by a signal of this process's own, which the server must have asked for."""
    if how == "call":
        leaving.begin(seconds)
    else:
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(("engine", "how"), [*((engine, "call") for engine in ENGINES), ("direct", "signal")])
async def test_it_has_the_door_of_every_server(engine: str, how: str) -> None:
    """Its health page, its limit for an address, its time for a request, and seconds to finish a call when it leaves.

    What happens more than once happens twice. The call under way is answered until the end, which is 1001, and that
    comes no sooner than was said.
    """
    leaving, counts, drain_s = Leaving(), CallerCounts(), 8.0
    options: dict[str, Any] = {
        "limits": AddressLimits(max_connections_per_address=3),
        "settings": ProxySettings(connect_timeout=3),
        **({"signals": True, "drain": drain_s} if how == "signal" else {}),
    }

    async def until_alone() -> None:
        await until(lambda: counts.callers().connections == 1)

    with trio.fail_after(90):
        async with (
            serving(engine=engine, leaving=leaving, counts=counts, **options) as (port, _, _),
            trio.open_nursery() as nursery,
        ):
            near = client(port, "near")
            events = near.events()
            await nursery.start(near.run, bus := LocalBus())
            await ask(bus, "near", "one")
            for turn in (1, 2):
                assert await page(port) == (200, {"status": "ok", "calls": 1})
                await until_alone()
                async with raw_peer(port) as second, raw_peer(port) as third:
                    for peer, path in ((second, f"/second-{turn}"), (third, f"/third-{turn}")):
                        await peer.upgrade(path)
                        assert peer.status == 101
                    assert await asked(port, "/fourth") == 429
                await until_alone()
                async with raw_peer(port) as silent:
                    await silent.wait_eof()
                await until_alone()
                assert counts.callers().turned_away == {"health check": turn, "limit": turn, "time": turn}
            began_s = trio.current_time()
            told_to_leave(how, leaving, drain_s)
            await until(lambda: leaving.has_begun)
            for turn in (1, 2):
                assert await page(port) == (503, {"status": "leaving", "calls": 1})
                assert await asked(port, "/late") == 503
                await ask(bus, "near", f"still here, {turn}")
                await until_alone()
                assert counts.callers().turned_away["leaving"] == turn
            told = [event async for event in events if isinstance(event, ProxyDisconnected)]
            assert trio.current_time() - began_s >= drain_s
            assert [(event.code, event.initiator) for event in told] == [(1001, "remote")]
            assert counts.callers().let_in == 5
