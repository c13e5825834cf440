"""No handler keeps a caller from hearing 1001, on any host: not one that shields itself for as long as it likes."""

from collections.abc import Callable
from functools import partial
from typing import Final

import pytest
import trio

from tests.real.edge.attacks import GOOD
from tests.real.hosting import WAYS_IN, hosted
from trio_transports import Session
from trio_transports.bus import BusMessage, WebSocketProxyServer, Worker, WorkerRunner, serve_proxies
from trio_transports.bus.proxy.base import ProxySettings
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire import Wire
from trio_transports.wire.accepting.leaving import Leaving
from trio_transports.wire.engines import ENGINES

CALLERS: Final = 3


async def shields_itself(release: trio.Event, _session: object) -> None:
    with trio.CancelScope(shield=True):
        await release.wait()


async def swallows_its_cancellation(release: trio.Event, _session: object) -> None:
    while not release.is_set():
        try:
            await release.wait()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.01)


async def exits_when_cancelled(_release: trio.Event, _session: object) -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise SystemExit(3)


Stubborn = Callable[[trio.Event, object], object]
stubborn = pytest.mark.parametrize(
    "handler", [shields_itself, swallows_its_cancellation, exits_when_cancelled], ids=lambda each: each.__name__
)


class Heard:
    """What each caller has heard; the handlers are let go when all have heard their Close."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.release = trio.Event()

    async def call(self, port: int, *, task_status: trio.TaskStatus[None]) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(GOOD(b"/call"))
            assert b" 101 " in await stream.receive_some(4000)
            task_status.started()
            got = b""
            while b"\x88" not in got or len(got.partition(b"\x88")[2]) < 3:
                data = await stream.receive_some(4000)
                assert data, "the connection ended without a Close"
                got += data
            self.codes.append(int.from_bytes(got.partition(b"\x88")[2][1:3], "big"))
            if len(self.codes) == CALLERS:
                self.release.set()


@stubborn
@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_sessions_say_goodbye_whatever_their_handlers_do(way_in: str, handler: Stubborn) -> None:
    """The server is told to leave, or cancelled, while the handlers go on: only ``serve`` waits for them."""
    heard = Heard()

    async def handle(session: Session) -> None:
        await handler(heard.release, session)  # type: ignore[misc]

    params = {"serializer": JSONFrameSerializer(), "close_timeout": 0.3}
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, hosted(way_in, handle, **params) as host:
            port = int(host.url.rsplit(":", 1)[1].partition("/")[0])
            for _ in range(CALLERS):
                await nursery.start(heard.call, port)
    assert heard.codes == [1001] * CALLERS


@pytest.mark.parametrize("engine", ENGINES)
async def test_proxies_say_goodbye_whatever_a_worker_does(engine: str) -> None:
    """``serve_proxies`` is told to leave while the worker that all peers share shields itself in a handler."""
    heard = Heard()
    begun = trio.Event()

    class Shielded(Worker):
        async def main(self) -> None:
            begun.set()
            await shields_itself(heard.release, self)

        async def on_bus_message(self, message: BusMessage) -> None:
            await shields_itself(heard.release, message)

    def gateway(wire: Wire) -> WebSocketProxyServer:
        return WebSocketProxyServer(f"for {wire.peer}", websocket=wire, worker_name="far", remote_worker_name="near")

    runner, leaving = WorkerRunner("server"), Leaving()
    serve = partial(
        serve_proxies,
        runner,
        gateway,
        host="127.0.0.1",
        engine=engine,
        leaving=leaving,
        settings=ProxySettings(close_timeout=0.3),
    )
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run, Shielded("far"))
            ready = await nursery.start(serve)
            await begun.wait()
            for _ in range(CALLERS):
                await nursery.start(heard.call, ready.port)
            leaving.begin()
            await heard.release.wait()
            runner.cancel()
    assert heard.codes == [1001] * CALLERS
