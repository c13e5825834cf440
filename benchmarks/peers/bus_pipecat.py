"""Pipecat's proxy pair on loopback, both ends in one process: jobs there and back, and audio one way.

The accepting end is a FastAPI app under uvicorn, as its documents show.
"""

# mypy: disable-error-code="misc, untyped-decorator, import-not-found, unused-ignore"

import asyncio
import os
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.bus import BusFrameMessage, BusMessage
from pipecat.frames.frames import OutputAudioRawFrame
from pipecat.pipeline.job_context import JobParams
from pipecat.pipeline.job_decorator import job
from pipecat.processors.frame_processor import FrameDirection
from pipecat.workers.base_worker import BaseWorker
from pipecat.workers.proxy.websocket import WebSocketProxyClient, WebSocketProxyServer
from pipecat.workers.runner import WorkerRunner

from .bus_work import AUDIO, PAYLOAD, SAMPLE_RATE, WINDOW, Measured, tell
from .program import free_ports


class Far(BaseWorker):
    """Answers jobs and counts audio."""

    def __init__(self) -> None:
        super().__init__("far")
        self.heard = 0
        self.room = asyncio.Semaphore(WINDOW)

    @job(name="echo")
    async def echo(self, message: Any) -> None:  # noqa: ANN401 - Pipecat's own
        await self.send_job_response(message.job_id, message.payload)

    async def on_bus_message(self, message: BusMessage) -> None:
        await super().on_bus_message(message)
        if isinstance(message, BusFrameMessage) and message.target == self.name:
            assert message.frame.audio == AUDIO
            self.heard += 1
            self.room.release()


async def ask(near: BaseWorker, count: int) -> None:
    for _ in range(count):
        async with near.job("far", params=JobParams(name="echo", payload=PAYLOAD)) as asked:
            pass
        assert asked.response == PAYLOAD, asked.response


async def ask_at_once(near: BaseWorker, count: int, together: int) -> None:
    await asyncio.gather(*(ask(near, count // together) for _ in range(together)))


async def speak(near: BaseWorker, far: Far, count: int) -> None:
    heard = far.heard
    for _ in range(count):
        await far.room.acquire()
        frame = OutputAudioRawFrame(audio=AUDIO, sample_rate=SAMPLE_RATE, num_channels=1)
        direction = FrameDirection.DOWNSTREAM
        await near.send_bus_message(BusFrameMessage(source="near", target="far", frame=frame, direction=direction))
    while far.heard < heard + count:  # noqa: ASYNC110 - a counter
        await asyncio.sleep(0.001)


async def measure(near: BaseWorker, far: Far) -> None:
    await ask(near, 50)  # warm
    measured = Measured()
    with measured.jobs("one at a time") as count:
        await ask(near, count)
    with measured.jobs("32 at once") as count:
        await ask_at_once(near, count, 32)
    with measured.messages() as count:
        await speak(near, far, count)
    tell(measured)
    os._exit(0)  # its runners wait for what has ended


async def main() -> None:
    app = FastAPI()
    here, there = WorkerRunner(handle_sigint=False), WorkerRunner(handle_sigint=False)
    near, far = BaseWorker("near"), Far()
    await there.add_workers(far)

    @app.websocket("/bus")
    async def bus(websocket: WebSocket) -> None:
        await websocket.accept()
        gate = WebSocketProxyServer("gate", websocket=websocket, worker_name="far", remote_worker_name="near")
        await there.add_workers(gate)
        await asyncio.Event().wait()

    (port,) = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    serving = [asyncio.ensure_future(server.serve()), asyncio.ensure_future(there.run(auto_end=False))]
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    proxy = WebSocketProxyClient(
        "proxy",
        url=f"ws://127.0.0.1:{port}/bus",
        remote_worker_name="far",
        local_worker_name="near",
        active=True,
    )
    await here.add_workers(near, proxy)
    serving.append(asyncio.ensure_future(here.run(auto_end=False)))
    await asyncio.gather(measure(near, far), *serving)


if __name__ == "__main__":
    logger.remove()
    asyncio.run(main())
