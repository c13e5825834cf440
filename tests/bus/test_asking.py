"""Who asks for jobs: what it keeps while it waits, and that nothing of a job is left when it is over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.bus.doing import Waits
from trio_transports.bus import (
    BusJobCancelMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusJobUpdateMessage,
    BusMessage,
    JobContext,
    JobTimeoutError,
    LocalBus,
    Worker,
    WorkerRegistry,
    WorkerRegistryEntry,
)
from trio_transports.bus.asking import AskedJobs


def asked_by(worker: Worker) -> AskedJobs:
    assert worker._life is not None
    return worker._life.asked


@asynccontextmanager
async def asking(bus: LocalBus | None = None, registry: WorkerRegistry | None = None) -> AsyncIterator[Worker]:
    bus, worker = bus or LocalBus(), Worker("asks")
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: worker.run(bus, registry=registry, task_status=task_status))
        yield worker
        worker.stop()


def answer(job_id: str) -> BusMessage:
    return BusJobResponseMessage(source="far", target="asks", job_id=job_id, status="completed", response={"n": 1})


async def test_a_request_waits_for_a_bus_that_has_no_room_now(autojump_clock: trio.testing.MockClock) -> None:
    """It is sent all the same, and once."""
    bus = Waits()
    far = bus.subscribe("far", accepts=lambda message: message.target == "far")
    async with asking(bus) as worker:
        for _ in range(2):
            async with worker.job("far", "dance") as asked:
                request = await far.receive()
                assert isinstance(request, BusJobRequestMessage)
                assert (request.job_id, request.job_name) == (asked.job_id, "dance")
                assert far.statistics().waiting_data == 0
                await worker.send(answer(asked.job_id))
            assert asked.response == {"n": 1}


async def test_a_job_that_is_over_is_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    """Whether it was answered, or given up in its body, or before it was even asked for."""
    async with asking(registry=WorkerRegistry("r")) as worker:
        asked_jobs = asked_by(worker)
        for _ in range(2):
            async with worker.job("far", wait_ready=False) as asked:
                assert list(asked_jobs._pending) == [asked.job_id]
                await worker.send(answer(asked.job_id))
            with pytest.raises(JobTimeoutError):
                await worker.job("far", timeout=1, wait_ready=False)
            with pytest.raises(JobTimeoutError):
                await worker.job("far", timeout=1)
            assert asked_jobs._pending == {}


async def test_who_waited_for_a_worker_is_told_no_more_of_it(autojump_clock: trio.testing.MockClock) -> None:
    """Neither when it came, nor when the wait was given up."""
    registry = WorkerRegistry("r")
    async with asking(registry=registry) as worker:
        for timeout in (1, 3):
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def ask(timeout: float = timeout) -> None:
                    with pytest.raises(JobTimeoutError):
                        await worker.job("far", timeout=timeout)

                await trio.sleep(0.5)
                assert list(registry._watchers) == ["far"]
                if timeout == 3:
                    registry._add_local(WorkerRegistryEntry(name="far"))
            assert registry._watchers == {}
        registry._remove_local("far")


async def test_what_is_told_after_the_body_is_not_kept(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody reads it: neither of a job that is left to end, nor of one that is awaited."""
    async with asking() as worker:
        for how in ("left", "awaited"):
            job = worker.job("far")

            async def run(job: JobContext = job, how: str = how) -> None:
                if how == "awaited":
                    await job
                else:
                    async with job:
                        pass

            async with trio.open_nursery() as nursery:
                nursery.start_soon(run)
                await trio.testing.wait_all_tasks_blocked()
                for number in range(3):
                    update = BusJobUpdateMessage(source="far", target="asks", job_id=job.job_id, update={"n": number})
                    await worker.send(update)
                await worker.send(answer(job.job_id))
            assert [event async for event in job] == []
            assert job.missed == 0
            assert job.response == {"n": 1}


async def test_who_gives_up_before_all_are_asked_tells_those_that_were(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """By the timeout, and by a cancellation. Who was not asked yet is told as well: it will not be asked."""
    registry = WorkerRegistry("r")
    registry._add_local(WorkerRegistryEntry(name="far"))
    async with asking(registry=registry) as worker:
        hears = worker.bus.subscribe("far", accepts=lambda message: message.target in ("far", "late"))
        for timeout, error in ((1, JobTimeoutError), (None, None)):
            if error is not None:
                with pytest.raises(error, match="no answer from far, late within 1 s"):
                    await worker.job_group("far", "late", timeout=timeout)
            else:
                with trio.move_on_after(1):
                    await worker.job_group("far", "late")
            told = [await hears.receive() for _ in range(3)]
            assert {(type(message), message.target) for message in told} == {
                (BusJobRequestMessage, "far"),
                (BusJobCancelMessage, "far"),
                (BusJobCancelMessage, "late"),
            }
            statistics = hears.statistics()
            assert (statistics.waiting_data, statistics.waiting_system) == (0, 0)


async def test_an_answer_to_nobodys_job_is_a_message_like_others(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever asks by hand handles it by hand; while a job of the worker's own is asked for, too."""
    heard = list[BusMessage]()

    class ByHand(Worker):
        async def on_bus_message(self, message: BusMessage) -> None:
            if message.target == self.name:
                heard.append(message)

    worker = ByHand("asks")
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, LocalBus())
        for round_ in (1, 2):
            await worker.send(answer("by hand"))
            await trio.testing.wait_all_tasks_blocked()
            assert heard == [answer("by hand")] * (2 * round_ - 1)
            async with worker.job("far") as asked:
                await worker.send(answer("by hand"))
                await worker.send(answer(asked.job_id))
            await trio.testing.wait_all_tasks_blocked()
            assert heard == [answer("by hand")] * 2 * round_
        worker.stop()
