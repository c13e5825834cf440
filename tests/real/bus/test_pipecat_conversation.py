"""The real Pipecat and this library's workers in one conversation, over a WebSocket and over Redis, both ways."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from tests.ports import free_port
from tests.real.bus.programs import Program, running
from tests.real.bus.servers import RedisServer
from tests.real.bus.ui_fields import UI_FIELDS, as_json
from tests.real.bus.waiting import QUICK, until
from tests.tools import pipecat_python, requires_module
from trio_transports import bus
from trio_transports.bus import (
    BridgedCall,
    Bus,
    BusFrameMessage,
    BusMessage,
    BusOpaqueMessage,
    BusUIDataMessage,
    FrameWorker,
    JobError,
    JobEvent,
    JobGroupError,
    JobRequest,
    JobTimeoutError,
    JSONMessageSerializer,
    LocalBus,
    Payload,
    ProxyConnected,
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
UI_TOLD = [(name, as_json(members)) for name, members in UI_FIELDS.items()]


def ui_messages(source: str, target: str) -> list[BusMessage]:
    return [getattr(bus, name)(source=source, target=target, **members) for name, members in UI_FIELDS.items()]


def ui_told(message: BusMessage) -> tuple[str, Any]:
    """What a message of a user interface has beside what every message has."""
    own = attrs.fields_dict(type(message)).keys() - attrs.fields_dict(BusMessage).keys()
    return type(message).__name__, as_json({name: getattr(message, name) for name in own})


def pipecat(*arguments: str) -> AbstractAsyncContextManager[Program]:
    return running(pipecat_python(), PEER, *arguments)


class Doing(Worker):
    """Does the same jobs as the worker on Pipecat's side."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen: list[object] = []
        self.far_began = trio.Event()
        self.may_fail = trio.Event()

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
            # The other has begun: a cancellation that overtakes its job is ignored by Pipecat.
            await (self.far_began if self.name == "beside" else self.may_fail).wait()
            raise JobError("no")
        await self.slow(request)

    @job("fail now")
    async def fail_now(self, _request: JobRequest) -> Payload:
        self.may_fail.set()
        return {}

    @job("slow")
    async def slow(self, request: JobRequest) -> None:
        try:
            while True:  # Pipecat forgets what comes while it is still asking the others of a group
                await request.send_update({"began": True})
                await trio.sleep(0.2)
        except trio.Cancelled:
            self.seen.append("cancelled")
            raise

    async def on_bus_message(self, message: BusMessage) -> None:
        if message.target != self.name:
            return
        if isinstance(message, BusUIDataMessage):
            self.seen.append(ui_told(message))
        elif isinstance(message, BusFrameMessage):
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


@pytest.mark.timeout(300)
@CARRIERS
async def test_pipecat_asks_and_we_answer(carrier: str, redis_server: RedisServer) -> None:
    """Jobs, a group of a worker there and one here, a stream, updates, an error, a timeout that cancels, UI, digits."""
    far = Doing("far")
    with trio.fail_after(240):
        async with serving(carrier, redis_server, far) as (url, _), pipecat("near", carrier, url) as peer:
            await until(lambda: bool(peer.told("asked")), within_s=100)
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
            await until(lambda: len(far.seen) == len(cancellations) + len(UI_TOLD) + 1)
            for _ in cancellations:
                far.seen.remove("cancelled")  # it may overtake the others
            assert far.seen == [*UI_TOLD, DTMFFrame(digit="*")]
            for message in ui_messages("far", "near"):
                await far.send(message)
            for digit in "5#":
                await far.send(BusFrameMessage(source="far", target="near", frame=DTMFFrame(digit=digit)))
            await until(lambda: len(peer.told("digit")) == 2)
            assert [(told["value"], told["kind"]) for told in peer.told("digit")] == [
                ("5", "KeypadEntry"),
                ("#", "KeypadEntry"),
            ]
            assert [(told["name"], told["members"]) for told in peer.told("ui")] == UI_TOLD


async def ask_both(near: Worker, beside: Doing, fails: str) -> None:
    async with near.job_group("far", "beside", name="mixed", payload={"fails": fails}, timeout=30) as asked:
        async for event in asked:
            if event.worker_name == "far":
                beside.far_began.set()


async def ask_everything(near: Doing, beside: Doing, peer: Program) -> None:
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
        await near.job("far", "slow", timeout=5)  # by then it has begun: a cancellation that overtakes it is ignored
    await until(lambda: len(peer.told("cancelled")) == 1)
    with trio.CancelScope() as leaving:
        async with near.job("far", "slow") as asked:
            async for _ in asked:
                leaving.cancel()
    await until(lambda: len(peer.told("cancelled")) == 2)
    for round_, fails in enumerate(("beside", "far")):
        with pytest.raises(JobGroupError, match=f"worker '{fails}': no") as group:
            await ask_both(near, beside, fails)
        assert [*group.value.errors] == [fails]
        await until(lambda: len(peer.told("cancelled")) == 3)
        await until(lambda: beside.seen == ["cancelled"] * round_)  # noqa: B023 - waited for here
    assert near.seen == []
    for message in ui_messages("near", "far"):
        await near.send(message)
    for digit in "5#":
        await near.send(BusFrameMessage(source="near", target="far", frame=DTMFFrame(digit=digit)))
    await until(lambda: len(near.seen) == len(UI_TOLD) + 2)
    assert near.seen == [*UI_TOLD, DTMFFrame(digit="5"), DTMFFrame(digit="#")]


@pytest.mark.timeout(300)
@CARRIERS
async def test_we_ask_and_pipecat_answers(carrier: str, redis_server: RedisServer) -> None:
    """The same the other way round; leaving the scope cancels the job there. UI and digits come back as they went."""
    await redis_server.wait_until_it_answers()
    near, beside = Doing("near"), Doing("beside")
    port = free_port()
    where = str(port) if carrier == "ws" else redis_server.url
    runner = WorkerRunner("ours", bus=LocalBus() if carrier == "ws" else redis_bus(redis_server))
    with trio.fail_after(240):
        async with pipecat("far", carrier, where) as peer, trio.open_nursery() as nursery:
            await until(lambda: bool(peer.told("listening")), within_s=100)
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


@asynccontextmanager
async def bridged(
    carrier: str, server: RedisServer, worker: FrameWorker
) -> AsyncIterator[tuple[WorkerRunner, Program]]:
    """Our worker, and the real Pipecat's bridge to it; ``server`` is Pipecat at the accepting end of the WebSocket."""
    if carrier != "server":
        async with serving(carrier, server, worker) as (url, runner), pipecat("bridge", carrier, url) as peer:
            yield runner, peer
        return
    port = free_port()
    runner = WorkerRunner("ours")
    proxy = WebSocketProxyClient(
        "proxy",
        url=f"ws://127.0.0.1:{port}/bus",
        remote_worker_name="near",
        local_worker_name="far",
        forward_messages=(BusFrameMessage,),
        reconnect=QUICK,
    )
    async with pipecat("bridge", carrier, str(port)) as peer, trio.open_nursery() as nursery:
        await until(lambda: bool(peer.told("listening")), within_s=100)
        await nursery.start(runner.run, worker, proxy)
        yield runner, peer
        runner.cancel()


@pytest.mark.timeout(300)  # Pipecat's start and its ten thousand frames: 80 s beside twenty busy processes
@pytest.mark.parametrize("carrier", ["ws", "server", "redis"])
async def test_a_bridge_by_default_settings(carrier: str, redis_server: RedisServer) -> None:
    """105 and 10,000 frames of a kind not known here, in a row, end nothing: the text after each is answered.

    The bridge is as Pipecat makes it: it names no target. Over a WebSocket such a message crosses where the proxies are
    told so by ``forward_messages``, both ends, Pipecat's own pair too.
    """
    heard: list[str] = []

    async def answer(call: BridgedCall) -> None:
        async for frame in call.input:
            if isinstance(frame, TextFrame):
                heard.append(frame.text)
                await call.output.send(TextFrame(text=f"you said: {frame.text}"))

    with trio.fail_after(240):
        async with bridged(carrier, redis_server, FrameWorker("far", answer)) as (runner, peer):
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
                kinds = WebSocketProxyServer | WebSocketProxyClient
                (proxy,) = (worker for worker in runner.workers if isinstance(worker, kinds))
                statistics = proxy.statistics()
                assert statistics.unknown >= 10_105
                assert (statistics.malformed, statistics.connections) == (0, 1)


@pytest.mark.timeout(300)
async def test_what_only_pipecats_know_passes_between_two_of_them() -> None:
    """Through a runner of ours between them, a proxy to each: their own message and frames come whole, in order.

    There and back, among known ones. Nothing of it is unknown to the proxies, malformed or refused.
    """
    passing = JSONMessageSerializer(pass_unknown=True)
    port = free_port()
    runner = WorkerRunner("between")
    gates: list[WebSocketProxyServer] = []
    onward = WebSocketProxyClient(
        "onward",
        url=f"ws://127.0.0.1:{port}/bus",
        remote_worker_name="far",
        local_worker_name="near",
        serializer=passing,
        reconnect=QUICK,
    )

    def join(wire: Wire) -> WebSocketProxyServer:
        gates.append(
            WebSocketProxyServer(
                "gate", websocket=wire, worker_name="far", remote_worker_name="near", serializer=passing
            )
        )
        return gates[-1]

    strangers: list[tuple[str, str]] = []

    def note(message: BusMessage) -> bool:
        if isinstance(message, BusOpaqueMessage):
            strangers.append((message.source, message.type_name.rpartition(".")[2]))
        return False

    with trio.fail_after(240):
        async with pipecat("far", "ws", str(port)) as far, trio.open_nursery() as nursery:
            await until(lambda: bool(far.told("listening")), within_s=100)
            connected = onward.events()
            runner.bus.subscribe("notes", accepts=note)
            await nursery.start(runner.run, onward)
            assert isinstance(await connected.receive(), ProxyConnected)
            serve = partial(serve_proxies, runner, join, host="127.0.0.1", subprotocols=())
            ready = await nursery.start(serve)
            async with pipecat("strangers", "ws", f"ws://127.0.0.1:{ready.port}/bus") as near:
                await until(lambda: len(near.told("back")) == 4, within_s=100)
                order = ["Order", "LLMMessagesAppendFrame", "TextFrame", "BotSpeakingFrame"]
                assert [(told["kind"], told["is_same"]) for told in near.told("back")] == [
                    (kind, True) for kind in order
                ]
                kinds = ["Order", "BusFrameMessage", "BusFrameMessage"]
                for source in ("near", "far"):
                    assert [kind for by, kind in strangers if by == source] == kinds
                for proxy in (*gates, onward):
                    counted = proxy.statistics()
                    assert (counted.unknown, counted.malformed, counted.refused) == (0, 0, 0)
                assert len(gates) == 1
            runner.cancel()
