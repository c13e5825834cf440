"""What one job through a proxy pair on a socket costs, in counts: a clock would measure the machine."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import final

import pytest
import trio
from attrs import define, field

from trio_transports.bus import (
    JobRequest,
    Payload,
    WebSocketProxyClient,
    WebSocketProxyServer,
    Worker,
    WorkerRunner,
    job,
    serve_proxies,
)
from trio_transports.bus.codec.binary import BinaryMessageSerializer
from trio_transports.bus.outbox import Outbox
from trio_transports.bus.subscription import BusSubscription
from trio_transports.wire import Wire

JOBS = 320
PAYLOAD = {"question": "how far is it", "options": ["a", "b", "c"], "deep": {"x": None}}


class Far(Worker):
    @job("echo")
    async def echo(self, request: JobRequest) -> Payload:
        return request.payload


@final
@define(eq=False)
class Steps(trio.abc.Instrument):
    """How often a task was run."""

    count: int = field(default=0, init=False)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1

    @contextmanager
    def counting(self) -> Iterator[None]:
        trio.lowlevel.add_instrument(self)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(self)


@asynccontextmanager
async def pair() -> AsyncIterator[Worker]:
    """The worker that asks; ``far`` is behind a socket, and each side has two workers that have nothing to do."""
    here, there = WorkerRunner("here"), WorkerRunner("there")
    near = Worker("near")

    def join(wire: Wire) -> WebSocketProxyServer:
        return WebSocketProxyServer("gate", websocket=wire, worker_name="far", remote_worker_name="near")

    async with trio.open_nursery() as nursery:
        await nursery.start(there.run, Far("far"), Worker("idle-1"), Worker("idle-2"))
        ready = await nursery.start(partial(serve_proxies, there, join, host="127.0.0.1"))
        proxy = WebSocketProxyClient(
            "proxy", url=f"ws://127.0.0.1:{ready.port}/", remote_worker_name="far", local_worker_name="near"
        )
        await nursery.start(here.run, near, proxy, Worker("idle-3"), Worker("idle-4"))
        yield near
        here.cancel()
        there.cancel()
        nursery.cancel_scope.cancel()


async def ask(near: Worker, count: int) -> None:
    for _ in range(count):
        assert await near.job("far", "echo", PAYLOAD) == PAYLOAD


def counted(monkeypatch: pytest.MonkeyPatch, cls: type, name: str) -> Callable[[], int]:
    """Count the calls of a method."""
    method, calls = getattr(cls, name), [0]

    def calling(*args: object, **options: object) -> object:
        calls[0] += 1
        return method(*args, **options)

    monkeypatch.setattr(cls, name, calling)
    return lambda: calls[0]


async def test_what_a_job_costs_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four steps: a read there, the job, a read here, who asked. Each bus shows a message to one."""
    steps = Steps()
    with trio.fail_after(30):
        async with pair() as near:
            await ask(near, 20)
            shown = counted(monkeypatch, BusSubscription, "wants")
            queued = counted(monkeypatch, BusSubscription, "put")
            waiting = counted(monkeypatch, Outbox, "put")
            encoded = counted(monkeypatch, BinaryMessageSerializer, "encode")
            with steps.counting():
                await ask(near, JOBS)
            assert shown() == 4 * JOBS
            assert encoded() == 2 * JOBS
            assert (queued(), waiting()) == (0, 0)
            assert steps.count <= 4.3 * JOBS


async def test_what_jobs_cost_together() -> None:
    """With 32 at once the reads and writes are shared: little more is left than the job and who asked."""
    steps = Steps()
    with trio.fail_after(30):
        async with pair() as near:
            await ask(near, 20)
            with steps.counting():
                async with trio.open_nursery() as nursery:
                    for _ in range(32):
                        nursery.start_soon(ask, near, JOBS // 32)
            assert steps.count <= 3.2 * JOBS
