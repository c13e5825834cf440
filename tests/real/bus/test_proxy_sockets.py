"""The proxies over real sockets: every kind of server that a proxy server may sit in."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import pytest
import trio
import trio_websocket
from fastapi import FastAPI, WebSocket

from tests.real.asgi.hosts import LATE_S, hosted
from tests.real.bus.waiting import QUICK, data, until
from trio_transports.bus import (
    BUS_SUBPROTOCOL,
    BusCancelWorkerMessage,
    BusFrameMessage,
    BusMessage,
    BusWorkerRegistryMessage,
    LocalBus,
    ProxyConnected,
    ProxyDisconnected,
    ProxySettings,
    WebSocketProxyClient,
    WebSocketProxyServer,
    Worker,
    WorkerRunner,
)
from trio_transports.bus.proxy.base import WIRE_LIMIT_BYTES
from trio_transports.errors import ConnectionClosed, HandshakeRejected, TransportError
from trio_transports.frames import AudioFrame
from trio_transports.session.events import Reconnecting
from trio_transports.wire import Wire
from trio_transports.wire.dialling import Address, dial
from trio_transports.wire.settings import WireSettings
from trio_transports.wire.trio_websocket import connect_wire

AUDIO = AudioFrame(audio=bytes(range(64)) * 10, sample_rate=16000)
Endpoint: TypeAlias = Callable[[Any], Awaitable[None]]
Host: TypeAlias = Callable[[Endpoint], AbstractAsyncContextManager[str]]


class Echo(Worker):
    """Sends each frame back to who sent it."""

    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusFrameMessage):
            await self.send(
                BusFrameMessage(source=self.name, target=message.source, id=message.id, frame=message.frame)
            )


@asynccontextmanager
async def starlette_host(endpoint: Endpoint, *, accept: bool) -> AsyncIterator[str]:
    app = FastAPI()

    @app.websocket("/bus")
    async def bus(websocket: WebSocket) -> None:
        if accept:
            await websocket.accept()
        await endpoint(websocket)

    async with hosted(app) as host:
        yield f"ws://127.0.0.1:{host.port}/bus"


@asynccontextmanager
async def raw_asgi_host(endpoint: Endpoint, *, guarded: bool) -> AsyncIterator[str]:
    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
            return
        await endpoint((scope, receive, send))

    async with hosted(app, guarded=guarded) as host:
        yield f"ws://127.0.0.1:{host.port}/bus"


@asynccontextmanager
async def trio_websocket_host(endpoint: Endpoint, *, accept: bool) -> AsyncIterator[str]:
    async def handle(request: trio_websocket.WebSocketRequest) -> None:
        await endpoint(await request.accept() if accept else request)

    async with trio.open_nursery() as nursery:
        # The limit is the server's to set: the proxy cannot raise it.
        serve = partial(trio_websocket.serve_websocket, handle, "127.0.0.1", 0, None, max_message_size=WIRE_LIMIT_BYTES)
        server = await nursery.start(serve)
        yield f"ws://127.0.0.1:{server.port}/bus"
        nursery.cancel_scope.cancel()


HOSTS: dict[str, tuple[Host, bool]] = {
    # and whether the subprotocol is agreed on
    "starlette": (partial(starlette_host, accept=False), True),
    "starlette, accepted": (partial(starlette_host, accept=True), False),
    "raw asgi": (partial(raw_asgi_host, guarded=True), True),
    "raw asgi, bare hypercorn": (partial(raw_asgi_host, guarded=False), True),
    "trio-websocket request": (partial(trio_websocket_host, accept=False), True),
    "trio-websocket connection": (partial(trio_websocket_host, accept=True), False),
}
EVERY_HOST = pytest.mark.parametrize("host", HOSTS)


@asynccontextmanager
async def serving(host: Host, *, settings: ProxySettings | None = None) -> AsyncIterator[tuple[str, WorkerRunner]]:
    """A server with an echo worker named ``far``, and a proxy for each connection."""
    runner = WorkerRunner("server")
    connections = 0

    async def endpoint(websocket: Any) -> None:  # noqa: ANN401 - whatever the server hands out
        nonlocal connections
        connections += 1
        proxy = WebSocketProxyServer(
            f"gateway-{connections}",
            websocket=websocket,
            worker_name="far",
            remote_worker_name="near",
            settings=settings,
        )
        await runner.run_worker(proxy)

    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Echo("far"))
        async with host(endpoint) as url:
            yield url, runner
            runner.cancel()


def client(url: str, **options: Any) -> WebSocketProxyClient:  # noqa: ANN401 - any option of the proxy
    return WebSocketProxyClient("proxy", url=url, remote_worker_name="far", local_worker_name="near", **options)


def is_reply(message: BusMessage) -> bool:
    return message.target == "near"


@EVERY_HOST
async def test_frames_go_there_and_back(host: str) -> None:
    """Over every kind of server frames cross both ways in order, in binary where both sides could agree on it."""
    open_host, agreed = HOSTS[host]
    bus = LocalBus()
    with trio.fail_after(20):
        async with serving(open_host) as (url, _), trio.open_nursery() as nursery:
            proxy = client(url)
            events = proxy.events()
            replies = bus.subscribe("near", accepts=is_reply)
            registry = bus.subscribe("registry", accepts=lambda m: isinstance(m, BusWorkerRegistryMessage))
            await nursery.start(proxy.run, bus)
            connected = await events.receive()
            assert isinstance(connected, ProxyConnected)
            assert connected.peer.subprotocol == (BUS_SUBPROTOCOL if agreed else None)
            told = await registry.receive()
            assert isinstance(told, BusWorkerRegistryMessage)
            assert [worker.name for worker in told.workers] == ["far"]
            for number in range(50):
                await bus.send(BusFrameMessage(source="near", target="far", id=number, frame=AUDIO))
            got = [await replies.receive() for _ in range(50)]
            assert [(m.id, m.frame) for m in got if isinstance(m, BusFrameMessage)] == [(n, AUDIO) for n in range(50)]
            proxy.stop()
            ended = await events.receive()
            assert isinstance(ended, ProxyDisconnected)
            assert (ended.code, ended.initiator) == (1001, "local")


@EVERY_HOST
async def test_add_worker_in_an_endpoint_serves_the_connection(host: str) -> None:
    """An endpoint whose last line is ``add_worker(proxy)``, as Pipecat's is, serves its client; a second one too."""
    open_host, _ = HOSTS[host]
    runner = WorkerRunner("server")
    connections = 0

    async def endpoint(websocket: Any) -> None:  # noqa: ANN401 - whatever the server hands out
        nonlocal connections
        connections += 1
        proxy = WebSocketProxyServer(
            f"gateway-{connections}", websocket=websocket, worker_name="far", remote_worker_name="near"
        )
        await runner.add_worker(proxy)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run, Echo("far"))
            async with open_host(endpoint) as url:
                for number in (1, 2):
                    bus = LocalBus()
                    replies = bus.subscribe("near", accepts=is_reply)
                    await nursery.start(client(url).run, bus)
                    await bus.send(BusFrameMessage(source="near", target="far", id=number, frame=AUDIO))
                    while not isinstance(reply := await replies.receive(), BusFrameMessage):
                        pass
                    assert reply.id == number
                runner.cancel()


@EVERY_HOST
async def test_the_server_ends_a_connection(host: str) -> None:
    """When the server's proxy ends, the client is told who ended it, and without a policy its worker ends."""
    open_host, _ = HOSTS[host]
    with trio.fail_after(20):
        async with serving(open_host) as (url, runner), trio.open_nursery() as nursery:
            proxy = client(url)
            events = proxy.events()
            await nursery.start(proxy.run, LocalBus())
            assert isinstance(await events.receive(), ProxyConnected)
            await first_proxy(runner)
            await runner.bus.send(BusCancelWorkerMessage(source="x", target="gateway-1"))
            ended = await events.receive()
            assert isinstance(ended, ProxyDisconnected)
            assert (ended.code, ended.initiator) == (1001, "remote")


@EVERY_HOST
async def test_a_dropped_connection_is_dialled_again(host: str) -> None:
    """A client with a policy comes back to a server that dropped it, and is served by a proxy of its own there."""
    open_host, _ = HOSTS[host]
    bus = LocalBus()
    with trio.fail_after(20):
        async with serving(open_host) as (url, runner), trio.open_nursery() as nursery:
            proxy = client(url, reconnect=QUICK)
            events = proxy.events()
            replies = bus.subscribe("near", accepts=is_reply)
            await nursery.start(proxy.run, bus)
            for round_ in range(3):
                assert isinstance(await events.receive(), ProxyConnected)
                await bus.send(BusFrameMessage(source="near", target="far", id=round_, frame=AUDIO))
                assert (await replies.receive()).id == round_
                await runner.bus.send(BusCancelWorkerMessage(source="x", target=f"gateway-{round_ + 1}"))
                assert isinstance(await events.receive(), ProxyDisconnected)
                assert isinstance(await events.receive(), Reconnecting)
            proxy.stop()


@EVERY_HOST
async def test_a_hostile_client_costs_only_itself(host: str) -> None:
    """Garbage is counted, 2 MB refused, and the connection lives; one over the wire's own limit is closed with 1009."""
    open_host, _ = HOSTS[host]
    with trio.fail_after(60):
        async with serving(open_host) as (url, runner):
            async with raw_wire(url) as raw:
                for message in ("", "[" * 100_000, b"\xff", b"x" * 2_000_000, '{"__type__":"os.system","__data__":{}}'):
                    await raw.send(message)
                proxy = await first_proxy(runner)
                await until(lambda: (proxy.statistics().malformed, proxy.statistics().unknown) == (4, 1))
                assert proxy.is_connected
                with suppress(ConnectionClosed):
                    await raw.send(b"x" * 5_000_000)
                with pytest.raises(ConnectionClosed) as info:
                    await _read_on(raw)  # the registry comes first
                assert info.value.code in (1006, 1009)
            await until(lambda: len(runner.workers) == 1)
            async with raw_wire(url) as raw:
                await raw.receive()  # the registry: the server goes on


async def _read_on(wire: Wire) -> None:
    while True:
        await wire.receive()


@asynccontextmanager
async def raw_wire(url: str) -> AsyncIterator[Wire]:
    address = Address.parse(url)
    stream = await dial(address, None)
    async with connect_wire(
        stream, url=url, host=address.host_header, resource=address.resource, settings=WireSettings()
    ) as wire:
        yield wire


async def first_proxy(runner: WorkerRunner) -> WebSocketProxyServer:
    """The server's first proxy, once it is connected."""
    found: list[WebSocketProxyServer] = []

    def is_connected() -> bool:
        found[:] = [worker for worker in runner.workers if isinstance(worker, WebSocketProxyServer)]
        return bool(found) and found[0].is_connected

    await until(is_connected)
    return found[0]


async def test_serve_asgi_tells_its_proxies_when_it_ends() -> None:
    """Under the guarded server a shutdown ends each proxy with 1001, and takes no longer than the grace."""
    runner = WorkerRunner("server")

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        if scope["type"] == "websocket":
            websocket = (scope, receive, send)
            proxy = WebSocketProxyServer("gateway", websocket=websocket, worker_name="far", remote_worker_name="near")
            await runner.run_worker(proxy)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run, Echo("far"))
            async with hosted(app) as host:
                proxy = client(f"ws://127.0.0.1:{host.port}/bus")
                events = proxy.events()
                await nursery.start(proxy.run, LocalBus())
                assert isinstance(await events.receive(), ProxyConnected)
                await first_proxy(runner)
                assert await host.stop() < 1.5 + LATE_S
                ended = await events.receive()
                assert isinstance(ended, ProxyDisconnected)
                assert (ended.code, ended.reason) == (1001, "the server is shutting down")
            runner.cancel()


async def test_a_refused_client_says_so() -> None:
    """A server that refuses the upgrade is told as HandshakeRejected with its status; headers reach the server."""

    async def handle(request: trio_websocket.WebSocketRequest) -> None:
        token = dict(request.headers).get(b"authorization")
        if token == b"Bearer right":
            async with await request.accept() as connection:
                await connection.get_message()
        else:
            await request.reject(401, body=b"who are you")

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(trio_websocket.serve_websocket, handle, "127.0.0.1", 0, None))
        url = f"ws://127.0.0.1:{server.port}/"
        with pytest.raises(HandshakeRejected) as info:
            await client(url, reconnect=QUICK).run(LocalBus())
        assert info.value.status == 401
        proxy = client(url, headers={"Authorization": "Bearer right"})
        await nursery.start(proxy.run, bus := LocalBus())
        await until(lambda: proxy.is_connected)
        await bus.send(data(1, "near"))
        proxy.stop()
        nursery.cancel_scope.cancel()


async def test_no_server_is_an_error() -> None:
    """A dial that nobody answers raises, and says where."""
    with pytest.raises(TransportError, match=r"cannot connect to ws://127\.0\.0\.1:1/"):
        await client("ws://127.0.0.1:1/").run(LocalBus())


async def test_a_silent_server_is_an_error_in_time() -> None:
    """A server that takes the connection and never answers the upgrade costs ``connect_timeout``."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        with pytest.raises(TransportError, match=r"within connect_timeout \(0.2 s\)"):
            await client(f"ws://127.0.0.1:{port}/", settings=ProxySettings(connect_timeout=0.2)).run(LocalBus())
