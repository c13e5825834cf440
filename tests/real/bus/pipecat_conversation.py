# mypy: disable-error-code="misc, untyped-decorator, import-not-found"
"""The real Pipecat in conversation with this library's workers. It prints JSON lines.

``near ws URL | near redis URL``: workers ``near`` and ``beside``; ``near`` asks ``far`` for jobs of all kinds.
``far ws PORT | far redis URL``: a worker ``far`` that does jobs.
``bridge ws URL | bridge redis URL | bridge server PORT``: a pipeline ``near`` with a bridge by its default settings. It
sends 105 and then 10,000 frames that are not known to others, and a text after each.
``strangers ws URL``: a worker ``near`` that sends ``far``, a Pipecat too, what only these two know.
"""

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.bus import BusDataMessage, BusFrameMessage, BusMessage, ui
from pipecat.frames.frames import BotSpeakingFrame, LLMMessagesAppendFrame, OutputDTMFFrame, TextFrame
from pipecat.pipeline.job_context import JobError, JobGroupError, JobGroupParams, JobParams, JobStatus
from pipecat.pipeline.job_decorator import job
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.base_worker import BaseWorker
from pipecat.workers.runner import WorkerRunner
from ui_fields import UI_FIELDS, as_json


def tell(event: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
    print(json.dumps({"event": event} | fields), flush=True)


FAR_BEGAN = asyncio.Event()


@dataclass
class Order(BusDataMessage):
    """A message of the application's own, which only its Pipecats know."""

    items: list[Any] | None = None


class Doing(BaseWorker):
    """Does jobs."""

    @job(name="double")
    async def double(self, message: Any) -> None:  # noqa: ANN401 - Pipecat's own
        await self.send_job_response(message.job_id, {"n": 2 * message.payload["n"], "by": self.name})

    @job(name="stream")
    async def stream(self, message: Any) -> None:  # noqa: ANN401 - Pipecat's own
        await self.send_job_stream_start(message.job_id, {"of": 3})
        for number in range(3):
            await self.send_job_stream_data(message.job_id, {"n": number, "raw": b"\0\1"})
        await self.send_job_stream_end(message.job_id, {"sum": 3})

    @job(name="updates")
    async def updates(self, message: Any) -> None:  # noqa: ANN401 - Pipecat's own
        await self.send_job_update(message.job_id, {"half": True})
        await self.send_job_response(message.job_id, {"whole": True})

    @job(name="refuse")
    async def refuse(self, message: Any) -> None:  # noqa: ANN401 - Pipecat's own
        await self.send_job_response(message.job_id, {"error": "no"}, status=JobStatus.FAILED)

    @job(name="mixed")
    async def mixed(self, message: Any) -> None:  # noqa: ANN401 - Pipecat's own
        if message.payload["fails"] == self.name:
            if self.name == "beside":
                await FAR_BEGAN.wait()  # a cancellation that overtakes its job is ignored by Pipecat
            await self.refuse(message)
        else:
            await self.slow(message)

    @job(name="slow")
    async def slow(self, message: Any) -> None:  # noqa: ANN401 - Pipecat's own
        while True:  # what comes while the others of a group are still being asked is forgotten
            await self.send_job_update(message.job_id, {"began": True})
            await asyncio.sleep(0.2)

    async def on_job_cancelled(self, message: Any) -> None:  # noqa: ANN401 - Pipecat's own
        tell("cancelled")

    async def on_bus_message(self, message: BusMessage) -> None:
        await super().on_bus_message(message)
        if self.name == "far" == message.target and isinstance(message, ui.BusUIDataMessage | BusFrameMessage | Order):
            await self.send_bus_message(replace(message, source=self.name, target=message.source))


class Near(Doing):
    """Asks."""

    async def ask(self) -> None:
        async with self.job("far", params=JobParams(name="double", payload={"n": 4}, timeout=30)) as one:
            pass
        tell("job", response=one.response)
        params = JobGroupParams(name="double", payload={"n": 5}, timeout=30)
        async with self.job_group("far", "beside", params=params) as group:
            pass
        tell("group", responses=group.responses)
        async with self.job("far", params=JobParams(name="stream", timeout=30)) as one:
            events = [(event.type, event.data.get("n")) async for event in one]
        tell("stream", events=events, response=one.response)
        async with self.job("far", params=JobParams(name="updates", timeout=30)) as one:
            events = [(event.type, event.data.get("half")) async for event in one]
        tell("updates", events=events, response=one.response)
        await self.fail("refuse", 30)
        await self.fail("slow", 5)  # by then it has begun
        await self.leave_by_cancelling()
        await self.leave_by_an_exception()
        for fails in ("beside", "far"):
            await self.fail_together(fails)
        for name, members in UI_FIELDS.items():
            await self.send_bus_message(getattr(ui, name)(source=self.name, target="far", **members))
        frame = OutputDTMFFrame(button=KeypadEntry.STAR)
        down = FrameDirection.DOWNSTREAM
        await self.send_bus_message(BusFrameMessage(source=self.name, target="far", frame=frame, direction=down))
        tell("asked")

    async def fail(self, name: str, timeout: float) -> None:
        try:
            async with self.job("far", params=JobParams(name=name, timeout=timeout)):
                pass
        except JobError as exc:
            tell("failed", name=name, why=str(exc))

    async def leave_by_cancelling(self) -> None:
        """As a tool does whose caller has interrupted it."""

        async def ask() -> None:
            async with self.job("far", params=JobParams(name="slow")) as asked:
                async for event in asked:
                    tell("left", after=event.type)
                    leaving.cancel()

        leaving = asyncio.ensure_future(ask())
        await asyncio.wait([leaving])
        assert leaving.cancelled()

    async def leave_by_an_exception(self) -> None:
        with suppress(KeyError):
            async with self.job("far", params=JobParams(name="slow")) as asked:
                async for event in asked:
                    tell("left", after=event.type)
                    raise KeyError

    async def fail_together(self, fails: str) -> None:
        params = JobGroupParams(name="mixed", payload={"fails": fails}, timeout=30)
        try:
            async with self.job_group("far", "beside", params=params) as group:
                async for event in group:
                    if event.worker_name == "far":
                        FAR_BEGAN.set()
                    elif fails == "far":
                        async with self.job("far", params=JobParams(name="fail now", timeout=30)):
                            pass
        except JobGroupError as exc:
            tell("group failed", fails=fails, why=str(exc))

    async def on_bus_message(self, message: BusMessage) -> None:
        await super().on_bus_message(message)
        if message.target != self.name:
            return
        if isinstance(message, ui.BusUIDataMessage):
            own = {field.name for field in fields(message)} - {field.name for field in fields(BusMessage)}
            tell("ui", name=type(message).__name__, members=as_json({name: getattr(message, name) for name in own}))
        elif isinstance(message, BusFrameMessage):
            tell("digit", value=message.frame.button.value, kind=type(message.frame.button).__name__)


def proxy_to(url: str) -> Any:  # noqa: ANN401 - Pipecat's own
    from pipecat.workers.proxy.websocket import WebSocketProxyClient

    return WebSocketProxyClient(
        "proxy",
        url=url,
        remote_worker_name="far",
        local_worker_name="near",
        forward_messages=(BusFrameMessage,),
        active=True,
    )


def runner_on(carrier: str, where: str) -> WorkerRunner:
    if carrier != "redis":
        return WorkerRunner(handle_sigint=False)
    from pipecat.bus.network.redis import RedisBus
    from redis.asyncio import Redis

    return WorkerRunner(handle_sigint=False, bus=RedisBus(redis=Redis.from_url(where)))


async def run_near(carrier: str, where: str) -> None:
    runner = runner_on(carrier, where)
    near = Near("near")
    await runner.add_workers(near, Doing("beside"), *([proxy_to(where)] if carrier == "ws" else []))
    await asyncio.gather(runner.run(auto_end=False), near.ask())


async def serve(runner: WorkerRunner, port: int, **options: Any) -> None:  # noqa: ANN401 - of Pipecat's proxy
    """A FastAPI app with a proxy server."""
    import uvicorn
    from fastapi import FastAPI, WebSocket
    from pipecat.workers.proxy.websocket import WebSocketProxyServer

    app = FastAPI()

    @app.websocket("/bus")
    async def bus(websocket: WebSocket) -> None:
        await websocket.accept()
        await runner.add_workers(WebSocketProxyServer("gate", websocket=websocket, **options))
        await asyncio.Event().wait()

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))

    async def announce() -> None:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        tell("listening")

    await asyncio.gather(runner.run(auto_end=False), server.serve(), announce())


async def run_far(carrier: str, where: str) -> None:
    runner = runner_on(carrier, where)
    await runner.add_workers(Doing("far"))
    if carrier == "redis":

        @runner.event_handler("on_ready")
        async def on_ready(runner: Any) -> None:  # noqa: ANN401 - Pipecat's own
            tell("listening")

        await runner.run(auto_end=False)
    else:
        await serve(runner, int(where), worker_name="far", remote_worker_name="near")


async def run_bridge(carrier: str, where: str) -> None:
    from pipecat.bus.bridge_processor import BusBridgeProcessor
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineWorker

    runner = runner_on(carrier, where)

    class Heard(FrameProcessor):
        async def process_frame(self, frame: Any, direction: FrameDirection) -> None:  # noqa: ANN401 - Pipecat's own
            await super().process_frame(frame, direction)
            if isinstance(frame, TextFrame):
                tell("heard", text=frame.text)
            await self.push_frame(frame, direction)

    bridge = BusBridgeProcessor(bus=runner.bus, worker_name="near")
    worker = PipelineWorker(Pipeline([bridge, Heard()]), name="near", enable_rtvi=False, idle_timeout_secs=None)
    await runner.add_workers(worker, *([proxy_to(where)] if carrier == "ws" else []))

    async def speak() -> None:
        for count in (105, 10_000):
            for number in range(count):
                await worker.queue_frame(BotSpeakingFrame())
                if number % 100 == 0:
                    await asyncio.sleep(0.005)
            await worker.queue_frame(TextFrame(f"after {count}"))

    async def begin() -> None:
        await runner_hears(runner, "far")
        await speak()

    if carrier == "server":
        forward = {"worker_name": "near", "remote_worker_name": "far", "forward_messages": (BusFrameMessage,)}
        await asyncio.gather(serve(runner, int(where), **forward), begin())
    else:
        await asyncio.gather(runner.run(auto_end=False), begin())


class Stranger(BaseWorker):
    """Sends what only Pipecats know, a known frame in between, and says whether all of it comes back as it was."""

    def sent(self) -> list[BusMessage]:
        def framed(frame: Any) -> BusMessage:  # noqa: ANN401 - Pipecat's own
            return BusFrameMessage(source=self.name, target="far", frame=frame, direction=FrameDirection.DOWNSTREAM)

        said = [{"role": "user", "content": "é"}]
        return [
            Order(source=self.name, target="far", items=[1, None, {"raw": b"\0\1"}]),
            framed(LLMMessagesAppendFrame(messages=said, run_llm=True)),
            framed(TextFrame("known")),
            framed(BotSpeakingFrame()),
        ]

    async def ask(self, runner: WorkerRunner) -> None:
        await runner_hears(runner, "far")
        self.waiting = self.sent()
        for message in list(self.waiting):
            await self.send_bus_message(message)

    async def on_bus_message(self, message: BusMessage) -> None:
        await super().on_bus_message(message)
        if message.target != self.name or not isinstance(message, Order | BusFrameMessage):
            return
        before = self.waiting.pop(0)
        if isinstance(message, Order):
            tell("back", kind="Order", is_same=isinstance(before, Order) and message.items == before.items)
        else:
            kind = type(message.frame).__name__
            if kind == "TextFrame":
                tell("back", kind=kind, is_same=message.frame.text == "known")  # read and written on the way
            else:
                tell("back", kind=kind, is_same=message.frame == before.frame)  # with its number and its name


async def run_strangers(carrier: str, where: str) -> None:
    runner = runner_on(carrier, where)
    near = Stranger("near")
    await runner.add_workers(near, proxy_to(where))
    await asyncio.gather(runner.run(auto_end=False), near.ask(runner))


async def runner_hears(runner: WorkerRunner, name: str) -> None:
    """Wait until the other side has told of its worker: what is published before that is heard by nobody."""
    while runner.registry.get(name) is None:  # noqa: ASYNC110 - a registry
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    from loguru import logger

    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    what, carrier, where = sys.argv[1:]
    programs = {"near": run_near, "far": run_far, "bridge": run_bridge, "strangers": run_strangers}
    asyncio.run(programs[what](carrier, where))
