"""Whatever a program calls by itself says on another event loop than trio what to do: one error, everywhere."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypercorn.config import Config

from trio_transports import LocalProtocolError, TransportParams
from trio_transports.agent import WebSocketAgentAdapter
from trio_transports.agent.protocols.json_audio import JSONAudioProtocol
from trio_transports.bus import (
    LocalBus,
    WebSocketProxyClient,
    WebSocketProxyServer,
    Worker,
    WorkerRunner,
    serve_proxies,
)
from trio_transports.bus.redis import RedisBus
from trio_transports.hosting import serve_asgi
from trio_transports.testing import memory_session
from trio_transports.wire import Wire
from trio_transports.wire.memory import memory_wire_pair


def gateway(wire: Wire) -> WebSocketProxyServer:
    return WebSocketProxyServer("gateway", websocket=wire, worker_name="far", remote_worker_name="near")


def dialling() -> WebSocketProxyClient:
    return WebSocketProxyClient("proxy", url="ws://127.0.0.1:9", local_worker_name="near", remote_worker_name="far")


async def never(*_: object) -> None:
    pytest.fail("served")


async def host() -> None:
    await serve_asgi(never, Config())


async def serve() -> None:
    await serve_proxies(WorkerRunner(), gateway)


async def run() -> None:
    await WorkerRunner().run(Worker("w"))


async def work() -> None:
    await Worker("w").run(LocalBus())


async def proxy_of_a_client() -> None:
    await dialling().run(LocalBus())


async def proxy_of_a_server() -> None:
    await WorkerRunner().run_worker(gateway(memory_wire_pair()[0]))


async def proxy_that_is_added() -> None:
    await WorkerRunner().add_worker(gateway(memory_wire_pair()[0]))


async def proxy_by_itself() -> None:
    await gateway(memory_wire_pair()[0]).run(LocalBus())


async def redis() -> None:
    async with RedisBus().running():
        pytest.fail("joined")


async def agent() -> None:
    async with WebSocketAgentAdapter("ws://127.0.0.1:9", JSONAudioProtocol()):
        pytest.fail("connected")


async def agent_in_a_nursery() -> None:
    await WebSocketAgentAdapter("ws://127.0.0.1:9", JSONAudioProtocol()).run()


async def session_in_memory() -> None:
    async with memory_session(TransportParams()):
        pytest.fail("begun")


OWN_PROGRAM = r"trio\.run\(main\)"
IN_AN_APP = r"serve_asgi.*hypercorn -k trio.*anycorn"


@pytest.mark.parametrize(
    ("main", "name", "way_out"),
    [
        (host, "serve_asgi", OWN_PROGRAM),
        (serve, "serve_proxies", OWN_PROGRAM),
        (run, "WorkerRunner", OWN_PROGRAM),
        (work, "Worker", OWN_PROGRAM),
        (proxy_of_a_client, "WebSocketProxyClient", OWN_PROGRAM),
        (proxy_of_a_server, "WebSocketProxyServer", IN_AN_APP),
        (proxy_that_is_added, "WebSocketProxyServer", IN_AN_APP),
        (proxy_by_itself, "WebSocketProxyServer", IN_AN_APP),
        (redis, "RedisBus", OWN_PROGRAM),
        (agent, "WebSocketAgentAdapter", OWN_PROGRAM),
        (agent_in_a_nursery, "WebSocketAgentAdapter", OWN_PROGRAM),
        (session_in_memory, "memory_session", OWN_PROGRAM),
    ],
)
def test_asyncio_is_told_of(main: Callable[[], Awaitable[None]], name: str, way_out: str) -> None:
    """In a program that runs on asyncio, twice."""

    async def program() -> None:
        await main()

    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=rf"^{name} runs on trio, and this is asyncio.*{way_out}"):
            asyncio.run(program())
