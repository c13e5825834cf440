"""The voice server and the worker of the three-process test, each a program of its own; they print JSON lines.

``voice URL``: serves callers on a free port, and has each served over the bus by ``worker``. It also gives ``worker``
numbered jobs, stored in Redis, until it has been told a gap and some time after, and prints each answer, and how many
it has asked.
``worker URL``: answers frames with themselves, and jobs with their number.
"""

import json
import sys
from collections.abc import Awaitable, Callable

import trio

from trio_transports import Session, WebsocketServerParams, WebsocketServerTransport
from trio_transports.bus import (
    BinaryMessageSerializer,
    BridgedCall,
    BusGapMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusMessage,
    FrameWorker,
    Worker,
    WorkerRunner,
    bridge,
)
from trio_transports.bus.redis import RedisBus
from trio_transports.frames import AudioFrame, TextFrame
from trio_transports.params import ReconnectPolicy
from trio_transports.serializers import JSONFrameSerializer

JOBS = (BusJobRequestMessage, BusJobResponseMessage)
JOBS_AFTER_THE_GAP = 50


def tell(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


class Watches(Worker):
    """Prints the gaps that its process is told."""

    def accepts(self, message: BusMessage) -> bool:
        return False

    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusGapMessage):
            tell("gap", missed=message.missed, reason=message.reason)


class AsksJobs(Worker):
    """Gives out jobs one after another, before, during and after a loss of Redis, and prints each answer."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.was_told_a_gap = False

    def accepts(self, message: BusMessage) -> bool:
        return isinstance(message, BusJobResponseMessage) and message.target == self.name

    async def main(self) -> None:
        asked, left = 0, JOBS_AFTER_THE_GAP
        while left:
            left -= self.was_told_a_gap
            await self.send(BusJobRequestMessage(source=self.name, target="jobs", job_id=str(asked)))
            asked += 1
            await trio.sleep(0.01)
        tell("asked", count=asked)
        await trio.sleep_forever()

    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusJobResponseMessage):
            tell("answer", number=int(message.job_id))
        elif isinstance(message, BusGapMessage) and message.missed is None:
            self.was_told_a_gap = True


class DoesJobs(Worker):
    def accepts(self, message: BusMessage) -> bool:
        return isinstance(message, BusJobRequestMessage) and message.target == self.name

    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusJobRequestMessage):
            answer = BusJobResponseMessage(
                source=self.name, target=message.source, job_id=message.job_id, status="completed"
            )
            await self.send(answer)


async def echo(call: BridgedCall) -> None:
    async for frame in call.input:
        if isinstance(frame, TextFrame | AudioFrame):
            await call.output.send(frame)


def redis_bus(url: str, name: str) -> RedisBus:
    policy = ReconnectPolicy(initial_delay=0.02, max_delay=0.2)
    return RedisBus(
        url, name=name, durable=JOBS, serializer=BinaryMessageSerializer(), reconnect=policy, reply_timeout=30
    )


async def voice(url: str) -> None:
    bus = redis_bus(url, "voice")
    runner = WorkerRunner("voice", bus=bus)
    params = WebsocketServerParams(audio_in_enabled=True, audio_out_enabled=True, serializer=JSONFrameSerializer())
    server = WebsocketServerTransport(params, host="127.0.0.1", port=0)

    async def serve_caller(session: Session) -> None:
        await bridge(session, bus, name=f"call-{session.id}", worker="worker")

    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Watches("watches"), AsksJobs("asks"))
        ready = await nursery.start(server.serve, serve_caller)
        tell("listening", port=ready.port)


async def worker(url: str) -> None:
    runner = WorkerRunner("worker-runner", bus=redis_bus(url, "worker"))
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Watches("watches-too"), FrameWorker("worker", echo), DoesJobs("jobs"))
        tell("working")


if __name__ == "__main__":
    programs: dict[str, Callable[[str], Awaitable[None]]] = {"voice": voice, "worker": worker}
    trio.run(programs[sys.argv[1]], sys.argv[2])
