"""The real Pipecat and this library's workers in one conversation, over a WebSocket and over Redis, both ways."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.real.bus.programs import Program, running
from tests.real.bus.servers import RedisServer, free_port
from tests.real.bus.waiting import QUICK, until
from tests.tools import pipecat_python, requires_module
from trio_transports.bus import (
    BridgedCall,
    Bus,
    BusFrameMessage,
    BusMessage,
    BusUICommandMessage,
    BusUIEventMessage,
    FrameWorker,
    JobError,
    JobEvent,
    JobGroupError,
    JobRequest,
    JobTimeoutError,
    LocalBus,
    Payload,
    WebSocketProxyClient,
    WebSocketProxyServer,
    Worker,
    WorkerRunner,
    job,
    serve_proxies,
)
from trio_transports.frames import DTMFFrame, TextFrame
from trio_transports.wire import Wire

PEER = Path(__file__).with_name("pipecat_conversation.py")
CARRIERS = pytest.mark.parametrize("carrier", ["ws", "redis"])


def pipecat(*arguments: str) -> AbstractAsyncContextManager[Program]:
    return running(pipecat_python(), PEER, *arguments)


class Doing(Worker):
    """Does the same jobs as the worker on Pipecat's side."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen: list[object] = []
        self.far_began = trio.Event()

    @job("double")
    async def double(self, request: JobRequest) -> Payload:
        number = request.payload["n"]
        assert isinstance(number, int)
        return {"n": 2 * number, "by": self.name}

    @job("stream")
    async def stream(self, request: JobRequest) -> None:
        await request.send_stream_start({"of": 3})
        for number in range(3):
            await request.send_stream_data({"n": number, "raw": b"\0\1"})
        await request.send_stream_end({"sum": 3})

    @job("updates")
    async def updates(self, request: JobRequest) -> Payload:
        await request.send_update({"half": True})
        return {"whole": True}

    @job("refuse")
    async def refuse(self, request: JobRequest) -> None:
        raise JobError("no")

    @job("mixed")
    async def mixed(self, request: JobRequest) -> None:
        if request.payload["fails"] == self.name:
            if self.name == "beside":
                await self.far_began.wait()  # a cancellation that overtakes its job is ignored by Pipecat
            raise JobError("no")
        await self.slow(request)

    @job("slow")
    async def slow(self, request: JobRequest) -> None:
        try:
            await request.send_update({"began": True})
            await trio.sleep(60)
        except trio.Cancelled:
            self.seen.append("cancelled")
            raise

    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusUICommandMessage):
            self.seen.append((message.command_name, message.payload))
        elif isinstance(message, BusFrameMessage) and message.target == self.name:
            self.seen.append(message.frame)


def redis_bus(server: RedisServer) -> Bus:
    requires_module("coredis", extra="redis")
    from trio_transports.bus.redis import RedisBus

    return RedisBus(server.url)


@asynccontextmanager
async def serving(carrier: str, server: RedisServer, *workers: Worker) -> AsyncIterator[tuple[str, WorkerRunner]]:
    """Our workers, where a peer can reach ``far``: behind the URL that is given back."""
    await server.wait_until_it_answers()
    runner = WorkerRunner("ours", bus=LocalBus() if carrier == "ws" else redis_bus(server))

    def join(wire: Wire) -> WebSocketProxyServer:
        return WebSocketProxyServer(
            "gate",
            websocket=wire,
            worker_name="far",
            remote_worker_name="near",
            forward_messages=(BusFrameMessage,),
        )

    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, *workers)
        if carrier == "redis":
            yield server.url, runner
        else:
            ready = await nursery.start(partial(serve_proxies, runner, join, host="127.0.0.1"))
            yield f"ws://127.0.0.1:{ready.port}/bus", runner
        runner.cancel()


@CARRIERS
async def test_pipecat_asks_and_we_answer(carrier: str, redis_server: RedisServer) -> None:
    """Jobs, a group of a worker there and one here, a stream, updates, an error, a timeout that cancels, UI, digits."""
    far = Doing("far")
    with trio.fail_after(90):
        async with serving(carrier, redis_server, far) as (url, _), pipecat("near", carrier, url) as peer:
            await until(lambda: bool(peer.told("asked")), within_s=60)
            assert peer.told("job") == [{"event": "job", "response": {"n": 8, "by": "far"}}]
            both = {name: {"n": 10, "by": name} for name in ("far", "beside")}
            assert peer.told("group") == [{"event": "group", "responses": both}]
            (stream,) = peer.told("stream")
            data = [["stream_data", number] for number in range(3)]
            assert stream["events"] == [["stream_start", None], *data, ["stream_end", None]]
            assert stream["response"] == {"sum": 3}
            assert [told["events"] for told in peer.told("updates")] == [[["update", True]]]
            assert [told["name"] for told in peer.told("failed")] == ["refuse", "slow"]
            # Leaving the scope there, by a cancellation and by an exception, cancels the job here.
            assert [told["after"] for told in peer.told("left")] == ["update", "update"]
            # Who fails ends the group for the other: the one there for ours, and ours for the one there.
            assert [told["fails"] for told in peer.told("group failed")] == ["beside", "far"]
            await until(lambda: len(peer.told("cancelled")) == 1)
            cancellations = ["timeout", "cancelled", "exception", "group"]
            await until(lambda: len(far.seen) == len(cancellations) + 2)
            for _ in cancellations:
                far.seen.remove("cancelled")  # it may overtake the others
            assert far.seen == [("show", {"x": [1, None]}), DTMFFrame(digit="*")]
            await far.send(
                BusUIEventMessage(source="far", target="near", event_name="tap", payload=[{"b": b"\0"}, 1.5][1])
            )
            for digit in "5#":
                await far.send(BusFrameMessage(source="far", target="near", frame=DTMFFrame(digit=digit)))
            await until(lambda: len(peer.told("digit")) == 2)
            assert [(told["value"], told["kind"]) for told in peer.told("digit")] == [
                ("5", "KeypadEntry"),
                ("#", "KeypadEntry"),
            ]
            assert peer.told("ui") == [{"event": "ui", "name": "tap", "payload": 1.5}]


async def ask_both(near: Worker, beside: Doing, fails: str) -> None:
    async with near.job_group("far", "beside", name="mixed", payload={"fails": fails}, timeout=30) as asked:
        async for event in asked:
            if event.worker_name == "far":
                beside.far_began.set()


async def ask_everything(near: Worker, beside: Doing, peer: Program) -> None:
    assert await near.job("far", "double", {"n": 4}, timeout=30) == {"n": 8, "by": "far"}
    both = await near.job_group("far", "beside", name="double", payload={"n": 5}, timeout=30)
    assert both == {name: {"n": 10, "by": name} for name in ("far", "beside")}
    async with near.job("far", "stream", timeout=30) as asked:
        events = [event async for event in asked]
    data = [JobEvent("stream_data", "far", {"n": number, "raw": b"\0\1"}) for number in range(3)]
    assert events == [JobEvent("stream_start", "far", {"of": 3}), *data, JobEvent("stream_end", "far", {"sum": 3})]
    assert asked.response == {"sum": 3}
    async with near.job("far", "updates", timeout=30) as asked:
        events = [event async for event in asked]
    assert (events, asked.response) == ([JobEvent("update", "far", {"half": True})], {"whole": True})
    with pytest.raises(JobError, match="worker 'far': no") as info:
        await near.job("far", "refuse", timeout=30)
    assert info.value.status == "failed"
    with pytest.raises(JobTimeoutError):
        await near.job("far", "slow", timeout=0.5)
    await until(lambda: len(peer.told("cancelled")) == 1)
    with trio.move_on_after(0.5):
        await near.job("far", "slow")
    await until(lambda: len(peer.told("cancelled")) == 2)
    for round_, fails in enumerate(("beside", "far")):
        with pytest.raises(JobGroupError, match=f"worker '{fails}': no") as group:
            await ask_both(near, beside, fails)
        assert [*group.value.errors] == [fails]
        await until(lambda: len(peer.told("cancelled")) == 3)
        await until(lambda: beside.seen == ["cancelled"] * round_)  # noqa: B023 - waited for here


@CARRIERS
async def test_we_ask_and_pipecat_answers(carrier: str, redis_server: RedisServer) -> None:
    """The same the other way round; leaving the scope cancels the job at Pipecat's, by the timeout and by ourselves."""
    await redis_server.wait_until_it_answers()
    near, beside = Doing("near"), Doing("beside")
    port = free_port()
    where = str(port) if carrier == "ws" else redis_server.url
    runner = WorkerRunner("ours", bus=LocalBus() if carrier == "ws" else redis_bus(redis_server))
    with trio.fail_after(90):
        async with pipecat("far", carrier, where) as peer, trio.open_nursery() as nursery:
            await until(lambda: bool(peer.told("listening")), within_s=60)
            await nursery.start(runner.run, near, beside)
            if carrier == "ws":
                proxy = WebSocketProxyClient(
                    "proxy",
                    url=f"ws://127.0.0.1:{port}/bus",
                    remote_worker_name="far",
                    local_worker_name="near",
                    reconnect=QUICK,
                )
                await runner.add_worker(proxy)
            await ask_everything(near, beside, peer)
            runner.cancel()


@pytest.mark.timeout(300)  # Pipecat's start and its ten thousand frames: 80 s beside twenty busy processes
@CARRIERS
async def test_a_bridge_by_default_settings(carrier: str, redis_server: RedisServer) -> None:
    """105 and 10,000 frames of a kind not known here, in a row, end nothing: the text after each is answered."""
    heard: list[str] = []

    async def answer(call: BridgedCall) -> None:
        async for frame in call.input:
            if isinstance(frame, TextFrame):
                heard.append(frame.text)
                await call.output.send(TextFrame(text=f"you said: {frame.text}"))

    with trio.fail_after(240):
        async with (
            serving(carrier, redis_server, FrameWorker("far", answer)) as (url, runner),
            pipecat("bridge", carrier, url) as peer,
        ):
            await until(lambda: len(peer.told("heard")) == 2, within_s=200)
            assert heard == ["after 105", "after 10000"]
            assert [told["text"] for told in peer.told("heard")] == [f"you said: {text}" for text in heard]
            if carrier == "redis":
                from trio_transports.bus.redis import RedisBus

                assert isinstance(runner.bus, RedisBus)
                counted = runner.bus.statistics()
                assert counted.unknown >= 10_105
                assert (counted.malformed, counted.missed, counted.connections_lost) == (0, 0, 0)
            else:
                (proxy,) = (worker for worker in runner.workers if isinstance(worker, WebSocketProxyServer))
                statistics = proxy.statistics()
                assert statistics.unknown >= 10_105
                assert (statistics.malformed, statistics.connections) == (0, 1)
