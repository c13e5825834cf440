"""A worker that does jobs of all kinds, for the tests of jobs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from trio_transports.bus import (
    BusMessage,
    JobError,
    JobRequest,
    LocalBus,
    Payload,
    Worker,
    WorkerRunner,
    job,
)


class Doing(Worker):
    """Does jobs of all kinds, and keeps a list of what happened."""

    def __init__(self, name: str = "doing") -> None:
        super().__init__(name)
        self.seen: list[object] = []

    @job("double")
    async def double(self, request: JobRequest) -> Payload:
        number = request.payload["n"]
        assert isinstance(number, int)
        return {"n": 2 * number, "by": self.name}

    @job("nothing")
    async def nothing(self, request: JobRequest) -> None:
        self.seen.append(request.requester)

    @job("refuse")
    async def refuse(self, request: JobRequest) -> None:
        raise JobError("not on Sundays", response={"day": 7})

    @job("break")
    async def broken(self, request: JobRequest) -> None:
        raise ZeroDivisionError("by zero")

    @job("stream")
    async def stream(self, request: JobRequest) -> None:
        await request.send_stream_start({"of": 3})
        for number in range(3):
            await request.send_stream_data({"n": number})
        await request.send_stream_end({"sum": 3})

    @job("updates")
    async def updates(self, request: JobRequest) -> Payload:
        for number in range(int(str(request.payload["n"]))):
            await request.send_update({"n": number}, urgent=bool(request.payload.get("urgent")))
        return {"done": True}

    @job("slow")
    async def slow(self, request: JobRequest) -> Payload:
        self.seen.append("began")
        try:
            await trio.sleep(10)
        except trio.Cancelled:
            self.seen.append("cancelled")
            raise
        return {"slow": True}

    @job("in turn", sequential=True)
    async def in_turn(self, request: JobRequest) -> None:
        self.seen.append(("begins", request.payload["n"]))
        await trio.sleep(1)
        self.seen.append(("ends", request.payload["n"]))

    @job("at once")
    async def at_once(self, request: JobRequest) -> None:
        await self.in_turn(request)

    @job("watched")
    async def watched(self, request: JobRequest) -> None:
        await request.update_wanted()
        await request.send_update({"half": True})
        await request.update_wanted()


class Waits(LocalBus):  # type: ignore[misc]  # final for users; this one never has room at once
    def send_now(self, message: BusMessage) -> bool:
        return False


@asynccontextmanager
async def workers(*more: Worker) -> AsyncIterator[tuple[Worker, Doing, WorkerRunner]]:
    runner, asking, doing = WorkerRunner("runner"), Worker("asking"), Doing()
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, asking, doing, *more)
        yield asking, doing, runner
        runner.cancel()
