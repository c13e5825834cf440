"""Who does jobs: which of them wait for each other, and which do not."""

import pytest
import trio
import trio.testing

from tests.bus.doing import Doing, Waits
from trio_transports.bus import (
    BusJobCancelMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusJobUpdateRequestMessage,
    BusMessage,
    JobRequest,
    LocalBus,
    Payload,
    Worker,
    answering,
    job,
)


class InTurn(Worker):
    """Has two jobs that are done one after another, and does whatever else it is asked at once."""

    def __init__(self, name: str = "does") -> None:
        super().__init__(name)
        self.under_way: list[str] = []
        self.heard: list[BusMessage] = []

    async def on_bus_message(self, message: BusMessage) -> None:
        self.heard.append(message)

    @job("left", sequential=True)
    async def left(self, request: JobRequest) -> None:
        await self._do(request)

    @job("right", sequential=True)
    async def right(self, request: JobRequest) -> None:
        await self._do(request)

    async def on_job_request(self, request: JobRequest) -> Payload | None:
        await self._do(request)
        return None

    async def _do(self, request: JobRequest) -> None:
        self.under_way.append(request.job_id)
        try:
            await trio.sleep(1)
        finally:
            self.under_way.remove(request.job_id)


@pytest.mark.parametrize(
    ("names", "at_once"),
    [
        (["left", "left", "left"], ["1"]),
        (["left", "right", "left", "right"], ["1", "2"]),
        (["other", "other"], ["1", "2"]),
        ([None, None], ["1", "2"]),
        (["left", None, "left", "other"], ["1", "2", "4"]),
    ],
)
async def test_only_jobs_in_turn_of_one_name_wait_for_each_other(
    names: list[str | None], at_once: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    """Those of another name, and those without a turn, are done meanwhile; and so a second time."""
    bus, worker = LocalBus(), InTurn()
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, bus)
        for _ in range(2):
            for number, name in enumerate(names, 1):
                await bus.send(BusJobRequestMessage(source="a", target="does", job_id=str(number), job_name=name))
            await trio.sleep(0.5)
            assert sorted(worker.under_way) == at_once
            await trio.sleep(len(names))
            assert worker.under_way == []
        worker.stop()


async def test_a_request_is_no_message_to_handle(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither one that is done, nor one that is not: asked twice, cancelled before, or one too many.

    Nor is the question how far one is that is done here; about another it is.
    """
    monkeypatch.setattr(answering, "MAX_JOBS", 1)
    bus, worker = LocalBus(), InTurn()
    requester = "x" * 1000

    def request(job_id: str) -> BusMessage:
        return BusJobRequestMessage(source=requester, target="does", job_id=job_id)

    def how_far(job_id: str) -> BusMessage:
        return BusJobUpdateRequestMessage(source=requester, target="does", job_id=job_id)

    answers = bus.subscribe("answers", accepts=lambda message: message.target == requester)
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, bus)
        for message in (
            request("1"),
            request("1"),
            request("2"),
            BusJobCancelMessage(source=requester, target="does", job_id="3"),
            request("3"),
            how_far("1"),
        ):
            await bus.send(message)
            await trio.testing.wait_all_tasks_blocked()
        assert worker.under_way == ["1"]
        assert answers.statistics().waiting_data == 2
        assert worker.heard == []
        await bus.send(how_far("2"))
        await trio.testing.wait_all_tasks_blocked()
        assert worker.heard == [how_far("2")]
        worker.stop()
    assert [record.getMessage() for record in caplog.records] == [
        f"does: '{'x' * 100}' asked twice for one job; it is done once"
    ]


async def test_an_answer_waits_for_a_bus_that_has_no_room_now(autojump_clock: trio.testing.MockClock) -> None:
    """It is the job's own, and the only one."""
    bus = Waits()
    hears = bus.subscribe("a", accepts=lambda message: message.target == "a")
    async with trio.open_nursery() as nursery:
        worker = Doing("does")
        await nursery.start(worker.run, bus)
        for number in range(2):
            request = BusJobRequestMessage(
                source="a", target="does", job_id=str(number), job_name="double", payload={"n": number}
            )
            await bus.send(request)
            await trio.testing.wait_all_tasks_blocked()
            assert await hears.receive() == BusJobResponseMessage(
                source="does",
                target="a",
                job_id=str(number),
                status="completed",
                response={"n": 2 * number, "by": "does"},
            )
            assert hears.statistics().waiting_data == 0
        worker.stop()
