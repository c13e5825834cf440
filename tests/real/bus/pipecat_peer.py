# mypy: disable-error-code="misc, untyped-decorator, import-not-found"
"""The real Pipecat at the other end. Run by the tests with an interpreter that has pipecat-ai; it prints JSON lines.

``codec``: reads bus messages, one per line, and writes each back as Pipecat reads and writes it.
``client URL``: a WebSocketProxyClient that joins its worker ``near`` to ``far`` behind the URL.
``server PORT``: a FastAPI app with a WebSocketProxyServer for its worker ``far``.
``redis URL``: a runner with a worker ``far`` on a RedisBus.

The worker ``near`` sends a frame, a job and audio to ``far``, and prints what comes back. The worker ``far`` answers.
"""

import asyncio
import json
import sys
from typing import Any

from pipecat.bus import BusFrameMessage, BusJobRequestMessage, BusJobResponseMessage, BusMessage
from pipecat.bus.serializers import JSONMessageSerializer
from pipecat.frames.frames import OutputAudioRawFrame, TextFrame
from pipecat.pipeline.job_context import JobStatus
from pipecat.processors.frame_processor import FrameDirection
from pipecat.workers.base_worker import BaseWorker
from pipecat.workers.runner import WorkerRunner

PCM = bytes(range(64)) * 10


def tell(**fields: Any) -> None:  # noqa: ANN401 - JSON
    print(json.dumps(fields), flush=True)


def describe(message: BusMessage) -> dict[str, Any]:
    found: dict[str, Any] = {"type": type(message).__name__, "source": message.source, "target": message.target}
    if isinstance(message, BusFrameMessage):
        frame = message.frame
        found |= {"frame": type(frame).__name__, "direction": message.direction.name}
        found |= {name: getattr(frame, name) for name in ("text", "sample_rate", "num_frames") if hasattr(frame, name)}
        if hasattr(frame, "audio"):
            found["audio_is_whole"] = frame.audio == PCM
    return found


class Near(BaseWorker):
    """Asks, and prints the answers."""

    async def on_worker_ready(self, data: Any) -> None:  # noqa: ANN401 - Pipecat's own
        tell(event="ready", worker=data.worker_name, runner=data.runner)
        await super().on_worker_ready(data)
        to = {"source": self.name, "target": "far"}
        down = FrameDirection.DOWNSTREAM
        await self.send_bus_message(BusFrameMessage(**to, frame=TextFrame("hello"), direction=down))
        audio = OutputAudioRawFrame(audio=PCM, sample_rate=16000, num_channels=1)
        await self.send_bus_message(BusFrameMessage(**to, frame=audio, direction=down))
        await self.send_bus_message(BusJobRequestMessage(**to, job_id="j", payload={"n": 1, "b": b"\0\1"}))

    async def on_bus_message(self, message: BusMessage) -> None:
        await super().on_bus_message(message)
        if message.target == self.name and message.source == "far":
            tell(event="message", **describe(message))


class Far(BaseWorker):
    """Answers."""

    async def on_bus_message(self, message: BusMessage) -> None:
        await super().on_bus_message(message)
        if message.target != self.name or message.source != "near":
            return
        tell(event="message", **describe(message))
        back: dict[str, Any] = {"source": self.name, "target": message.source}
        if isinstance(message, BusFrameMessage):
            await self.send_bus_message(BusFrameMessage(**back, frame=message.frame, direction=message.direction))
        elif isinstance(message, BusJobRequestMessage):
            answer = BusJobResponseMessage(
                **back, job_id=message.job_id, status=JobStatus.COMPLETED, response=message.payload
            )
            await self.send_bus_message(answer)


def run_codec() -> None:
    serializer = JSONMessageSerializer()
    for line in sys.stdin:
        print(serializer.serialize(serializer.deserialize(line.encode())).decode(), flush=True)


async def run_client(url: str) -> None:
    from pipecat.workers.proxy.websocket import WebSocketProxyClient

    runner = WorkerRunner(handle_sigint=False)
    near = Near("near")
    proxy = WebSocketProxyClient("proxy", url=url, remote_worker_name="far", local_worker_name="near", active=True)

    @proxy.event_handler("on_connected")
    async def on_connected(worker: Any, websocket: Any) -> None:  # noqa: ANN401 - Pipecat's own
        tell(event="connected", subprotocol=websocket.subprotocol)

    @proxy.event_handler("on_disconnected")
    async def on_disconnected(worker: Any, websocket: Any) -> None:  # noqa: ANN401 - Pipecat's own
        tell(event="disconnected")

    await runner.add_workers(near, proxy)
    await near.watch_workers("far")
    await runner.run(auto_end=False)


async def run_server(port: int) -> None:
    import uvicorn
    from fastapi import FastAPI, WebSocket
    from pipecat.workers.proxy.websocket import WebSocketProxyServer

    app = FastAPI()
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(Far("far"))
    connections = 0

    @app.websocket("/bus")
    async def bus(websocket: WebSocket) -> None:
        nonlocal connections
        connections += 1
        await websocket.accept()
        proxy = WebSocketProxyServer(
            f"gateway-{connections}", websocket=websocket, worker_name="far", remote_worker_name="near"
        )
        gone = asyncio.Event()

        @proxy.event_handler("on_client_disconnected")
        async def on_client_disconnected(worker: Any, websocket: Any) -> None:  # noqa: ANN401 - Pipecat's own
            tell(event="disconnected")
            gone.set()

        await runner.add_workers(proxy)
        await gone.wait()

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))

    async def announce() -> None:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        tell(event="listening")

    await asyncio.gather(runner.run(auto_end=False), server.serve(), announce())


async def run_redis(url: str) -> None:
    from pipecat.bus.network.redis import RedisBus
    from redis.asyncio import Redis

    runner = WorkerRunner(handle_sigint=False, bus=RedisBus(redis=Redis.from_url(url)))
    await runner.add_workers(Far("far"))

    @runner.event_handler("on_ready")
    async def on_ready(runner: Any) -> None:  # noqa: ANN401 - Pipecat's own
        tell(event="listening")

    await runner.run(auto_end=False)


if __name__ == "__main__":
    from loguru import logger

    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    match sys.argv[1:]:
        case ["codec"]:
            run_codec()
        case ["client", url]:
            asyncio.run(run_client(url))
        case ["server", port]:
            asyncio.run(run_server(int(port)))
        case ["redis", url]:
            asyncio.run(run_redis(url))
        case other:
            sys.exit(f"unknown: {other}")
