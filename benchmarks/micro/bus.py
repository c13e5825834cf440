"""What a message costs on the bus, and how long it takes there and back: in one process, over Redis, over a proxy.

A message is 20 ms of audio. The rate is of one sender in a hurry and one reader; the round trip is of one message at a
time. Everything runs in one process and on loopback, so both ends' work is in each figure. Redis is left out where
there is no redis-server.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from functools import partial
from importlib.util import find_spec
from typing import Final, TypeAlias, final

import trio
import trio_websocket

from trio_transports.bus import (
    BinaryMessageSerializer,
    Bus,
    BusFrameMessage,
    BusMessage,
    BusSubscription,
    JSONMessageSerializer,
    LocalBus,
    MessageSerializer,
    WebSocketProxyClient,
    WebSocketProxyServer,
)
from trio_transports.frames import AudioFrame

from .serializers import OURS, costs
from .timing import Figure

GROUP: Final = "bus"
AUDIO: Final = AudioFrame(audio=bytes(1 + index % 255 for index in range(640)), sample_rate=16_000)
THERE: Final = BusFrameMessage(source="near", target="far", frame=AUDIO, role="input")
BACK: Final = BusFrameMessage(source="far", target="near", frame=AUDIO)
WINDOW: Final = 256
"""How many messages are on the way at once when the rate is measured: below every bound, so that none is dropped."""

Pair: TypeAlias = tuple[Bus, Bus]


def is_there(message: BusMessage) -> bool:
    return isinstance(message, BusFrameMessage) and message.target == "far"


def is_back(message: BusMessage) -> bool:
    return isinstance(message, BusFrameMessage) and message.target == "near"


@final
class PlainJSON:
    """Pipecat's JSON on every connection: a serializer of one's own is never replaced by the binary one."""

    def __init__(self) -> None:
        self._json = JSONMessageSerializer()

    def encode(self, message: BusMessage) -> bytes:
        return self._json.encode(message)

    def decode(self, data: bytes | str) -> BusMessage:
        return self._json.decode(data)


@asynccontextmanager
async def local() -> AsyncIterator[Pair]:
    bus = LocalBus()
    yield bus, bus


@asynccontextmanager
async def redis(serializer: MessageSerializer) -> AsyncIterator[Pair]:
    from trio_transports.bus.redis import RedisBus

    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder)
        server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)  # noqa: ASYNC220 - it is quick
        try:
            await _until_it_listens(port)
            near, far = (RedisBus(f"redis://127.0.0.1:{port}", serializer=serializer) for _ in range(2))
            async with near.running(), far.running():
                yield near, far
        finally:
            server.kill()
            server.wait()


async def _until_it_listens(port: int) -> None:
    with trio.fail_after(10):
        while True:
            try:
                await trio.aclose_forcefully(await trio.open_tcp_stream("127.0.0.1", port))
            except OSError:
                await trio.sleep(0.01)
            else:
                return


@asynccontextmanager
async def proxy(serializer: MessageSerializer | None) -> AsyncIterator[Pair]:
    """Two buses joined by a proxy pair over a real socket; ``serializer`` None lets audio go in binary."""
    near, far = LocalBus(), LocalBus()

    async def serve(request: trio_websocket.WebSocketRequest) -> None:
        gateway = WebSocketProxyServer(
            "gateway", websocket=request, worker_name="far", remote_worker_name="near", serializer=serializer
        )
        await gateway.run(far)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(trio_websocket.serve_websocket, serve, "127.0.0.1", 0, None))
        client = WebSocketProxyClient(
            "proxy",
            url=f"ws://127.0.0.1:{server.port}/",
            remote_worker_name="far",
            local_worker_name="near",
            serializer=serializer,
        )
        events = client.events()
        nursery.start_soon(client.run, near)
        await events.receive()
        yield near, far
        nursery.cancel_scope.cancel()


async def rate(near: Bus, far: Bus, count: int) -> float:
    """Messages per second, one way."""
    reader = far.subscribe("reader", accepts=is_there)
    room = trio.Semaphore(WINDOW)
    began = 0.0

    async def send() -> None:
        for _ in range(count):
            await room.acquire()
            await near.send(THERE)

    async with trio.open_nursery() as nursery:
        began = time.perf_counter()
        nursery.start_soon(send)
        for _ in range(count):
            await _next(reader)
            room.release()
    took_s = time.perf_counter() - began
    reader.close()
    return count / took_s


async def round_trips(near: Bus, far: Bus, count: int) -> list[float]:
    """Microseconds there and back, sorted."""
    asked, answered = far.subscribe("asked", accepts=is_there), near.subscribe("answered", accepts=is_back)

    async def answer() -> None:
        while True:
            await _next(asked)
            await far.send(BACK)

    times = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        for _ in range(count):
            began = time.perf_counter()
            await near.send(THERE)
            await _next(answered)
            times.append((time.perf_counter() - began) * 1e6)
        nursery.cancel_scope.cancel()
    asked.close()
    answered.close()
    return sorted(times)


async def _next(subscription: BusSubscription) -> None:
    message = await subscription.receive()
    if not isinstance(message, BusFrameMessage):
        raise RuntimeError(f"a message was lost while it was measured: {message}")  # noqa: TRY004 - not a wrong type


async def _measure(where: str, joined: AbstractAsyncContextManager[Pair], *, quick: bool) -> list[Figure]:
    count = 200 if quick else 2_000
    async with joined as (near, far):
        await round_trips(near, far, 50)  # so that connections, caches and windows are warm
        times = await round_trips(near, far, count)
        per_second = max([await rate(near, far, count) for _ in range(1 if quick else 2)])
    made = partial(Figure, group=GROUP, peer=OURS)
    return [
        made(name=f"{where} round trip, median", value=times[count // 2]),
        made(name=f"{where} round trip, p99", value=times[count * 99 // 100]),
        made(name=f"{where} messages", value=per_second, unit="1/s"),
    ]


def serializer_costs(quick: bool) -> Iterator[Figure]:
    for name, serializer in (("json", JSONMessageSerializer()), ("binary", BinaryMessageSerializer())):
        data = serializer.encode(THERE)
        works: dict[str, Callable[[], object]] = {
            "decode audio": partial(serializer.decode, data),
            "encode audio": partial(serializer.encode, THERE),
        }
        yield from costs(GROUP, name, works, quick=quick)


def figures(quick: bool) -> list[Figure]:
    places: dict[str, Callable[[], AbstractAsyncContextManager[Pair]]] = {"local": local}
    if shutil.which("redis-server") and find_spec("coredis"):
        places["redis, json"] = partial(redis, JSONMessageSerializer())
        places["redis, binary"] = partial(redis, BinaryMessageSerializer())
    places["proxy, json"] = partial(proxy, PlainJSON())
    places["proxy, binary"] = partial(proxy, None)
    found = [*serializer_costs(quick)]
    for where, joined in places.items():
        found += trio.run(partial(_measure, where, joined(), quick=quick))
    return found
