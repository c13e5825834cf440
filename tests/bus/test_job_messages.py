"""Jobs message by message: what a worker that does them answers, and what one that asks makes of the answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.bus.bridged import StuckBus
from trio_transports.bus import (
    BusJobCancelMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusJobResponseUrgentMessage,
    BusJobStreamDataMessage,
    BusJobStreamEndMessage,
    BusJobStreamStartMessage,
    BusJobUpdateMessage,
    BusJobUpdateRequestMessage,
    BusJobUpdateUrgentMessage,
    BusMessage,
    BusSubscription,
    BusWorkerErrorMessage,
    BusWorkerLocalErrorMessage,
    JobCancelledError,
    JobError,
    JobRequest,
    LocalBus,
    Payload,
    Worker,
    WorkerGoneError,
    WorkerRegistry,
    answering,
    job,
)
from trio_transports.bus.bus import GOODBYE_S
from trio_transports.bus.messages import BusWorkerLostMessage
from trio_transports.bus.weight import BASE, NODE


class Does(Worker):
    """Does jobs as the tests of messages want them done."""

    def __init__(self) -> None:
        super().__init__("does")
        self.began: list[str] = []
        self.requests: list[JobRequest] = []

    @job("wait")
    async def wait(self, request: JobRequest) -> Payload:
        self.began.append(request.job_id)
        self.requests.append(request)
        await trio.sleep_forever()
        raise AssertionError

    @job("turn", sequential=True)
    async def turn(self, request: JobRequest) -> None:
        self.began.append(request.job_id)
        await trio.sleep(1)

    @job("says all")
    async def says_all(self, request: JobRequest) -> Payload:
        await request.send_update({"n": 1})
        await request.send_update(urgent=True)
        await request.send_stream_start({"n": 2})
        await request.send_stream_data({"n": 3})
        return {"n": 4}

    @job("answers early")
    async def answers_early(self, request: JobRequest) -> Payload:
        await request.send_response({"n": 1}, status="failed", urgent=True)
        await request.send_response({"n": 2})
        await request.send_stream_end({"n": 3})
        return {"n": 4}

    @job("ends a stream")
    async def ends_a_stream(self, request: JobRequest) -> Payload:
        await request.send_stream_end({"n": 1})
        await request.send_stream_end({"n": 2})
        await request.send_response({"n": 3})
        return {"n": 4}

    @job("breaks")
    async def breaks(self, request: JobRequest) -> None:
        raise RuntimeError("x" * 5000)

    @job("refuses")
    async def refuses(self, request: JobRequest) -> None:
        raise JobError("no", response=request.payload)


class Asked:
    """A worker that does jobs, and a stranger on its bus who asks for them."""

    def __init__(self, worker: Does, hears: BusSubscription) -> None:
        self.worker = worker
        self._hears = hears

    async def ask(self, job_id: str, name: str | None, source: str = "a", payload: Payload | None = None) -> None:
        await self.says(
            BusJobRequestMessage(source=source, target="does", job_id=job_id, job_name=name, payload=payload)
        )

    async def cancel(self, job_id: str, source: str = "a") -> None:
        await self.says(BusJobCancelMessage(source=source, target="does", job_id=job_id))

    async def says(self, *messages: BusMessage) -> None:
        for message in messages:
            await self.worker.send(message)
        await trio.testing.wait_all_tasks_blocked()

    def heard(self) -> list[BusMessage]:
        lanes = (self._hears._system, self._hears._data)
        return [lane.take() for lane in lanes for _ in range(len(lane.waiting))]

    def answers(self) -> list[tuple[str, str]]:
        """Ids and how it came out."""
        return [(message.job_id, message.status) for message in self.heard() if isinstance(message, RESPONSES)]


RESPONSES = (BusJobResponseMessage, BusJobResponseUrgentMessage)


@asynccontextmanager
async def asked() -> AsyncIterator[Asked]:
    bus, worker = LocalBus(), Does()
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, bus)
        hears = bus.subscribe("a", accepts=lambda message: message.target in ("a", "b"))
        yield Asked(worker, hears)
        worker.stop()


HEAD = {"source": "does", "target": "a", "job_id": "1"}


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        (
            "says all",
            [
                BusJobUpdateUrgentMessage(**HEAD),  # type: ignore[arg-type]
                BusJobUpdateMessage(**HEAD, update={"n": 1}),  # type: ignore[arg-type]
                BusJobStreamStartMessage(**HEAD, data={"n": 2}),  # type: ignore[arg-type]
                BusJobStreamDataMessage(**HEAD, data={"n": 3}),  # type: ignore[arg-type]
                BusJobResponseMessage(**HEAD, status="completed", response={"n": 4}),  # type: ignore[arg-type]
            ],
        ),
        (
            "answers early",
            [BusJobResponseUrgentMessage(**HEAD, status="failed", response={"n": 1})],  # type: ignore[arg-type]
        ),
        ("ends a stream", [BusJobStreamEndMessage(**HEAD, data={"n": 1})]),  # type: ignore[arg-type]
        (
            "breaks",
            [
                BusJobResponseMessage(
                    **HEAD,  # type: ignore[arg-type]
                    status="error",
                    response={"error": f"RuntimeError: {'x' * (answering.MAX_REASON - 14)}"},
                )
            ],
        ),
        (
            "refuses",
            [BusJobResponseMessage(**HEAD, status="failed", response={"error": "no"})],  # type: ignore[arg-type]
        ),
        (
            "unknown",
            [
                BusJobResponseMessage(
                    **HEAD,  # type: ignore[arg-type]
                    status="failed",
                    response={"error": "worker 'does' does no job named 'unknown'"},
                )
            ],
        ),
    ],
)
async def test_a_job_has_one_answer_and_what_it_said_before(
    name: str, messages: list[BusMessage], autojump_clock: trio.testing.MockClock
) -> None:
    """Urgent words come first; what is said after the answer is not sent. It is the same the second time."""
    async with asked() as a:
        for _ in range(2):
            await a.ask("1", name)
            assert a.heard() == messages


async def test_a_request_that_comes_twice_is_done_once(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """While it is done; one of the same id from somebody else is another."""
    async with asked() as a:
        for _ in range(2):
            await a.ask("1", "wait")
        await a.ask("1", "wait", source="b")
        assert a.worker.began == ["1", "1"]
        assert repr(a.worker.requests[0]) == "<JobRequest 'wait' from 'a'>"
        assert [(request.requester, request.payload) for request in a.worker.requests] == [("a", {}), ("b", {})]
        assert a.heard() == []
    assert [record.getMessage() for record in caplog.records] == ["does: 'a' asked twice for one job; it is done once"]
    assert sorted(message.target or "" for message in a.heard()) == ["a", "b"]  # each was told that it is cancelled


async def test_a_cancellation_that_came_first_ends_one_request(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one it was for; the next of the same id is done. Of so many only the last are remembered."""
    monkeypatch.setattr(answering, "MAX_EARLY", 2)
    async with asked() as a:
        for job_id in ("1", "2", "3"):
            await a.cancel(job_id)
        for job_id in ("1", "2", "3"):
            await a.ask(job_id, "wait")
        assert (a.worker.began, a.answers()) == (["1"], [("2", "cancelled"), ("3", "cancelled")])
        await a.ask("2", "wait")
        assert (a.worker.began, a.answers()) == (["1", "2"], [])


async def test_jobs_in_turn_go_on_over_one_that_is_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    """Whether it is the one that is done or one that waits; when all are done the next begins at once."""
    async with asked() as a:
        for round_ in range(2):
            for job_id in "1234":
                await a.ask(job_id, "turn")
            assert a.worker.began == ["1"]
            await a.cancel("3")
            await a.cancel("1")
            assert a.worker.began == ["1", "2"], round_
            await trio.sleep(1.5)
            assert a.worker.began == ["1", "2", "4"]
            await trio.sleep(1)
            assert a.answers() == [("3", "cancelled"), ("1", "cancelled"), ("2", "completed"), ("4", "completed")]
            a.worker.began.clear()


async def test_so_much_is_asked_at_once_and_no_more(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first need not be weighed; those beside it just fit, in bytes and in number. Each that ends makes room."""
    weighs = BASE + 3 * NODE + len("x" + "a" + "does" + "1" + "wait")
    monkeypatch.setattr(answering, "MAX_JOB_BYTES", 2 * weighs)
    async with asked() as a:
        for _ in range(2):
            for job_id in "123":
                await a.ask(job_id, "wait", payload={"x": ""})
            assert a.answers() == []
            await a.ask("4", "wait", payload={"x": ""})
            assert a.answers() == [("4", "failed")]
            for job_id in "231":
                await a.cancel(job_id)
            assert len(a.answers()) == 3
        monkeypatch.setattr(answering, "MAX_JOBS", 2)
        for job_id in "123":
            await a.ask(job_id, "wait")
        assert a.answers() == [("3", "failed")]


async def test_what_a_requester_asked_for_ends_with_its_connection(autojump_clock: trio.testing.MockClock) -> None:
    """Of it alone, only where it is this worker whose connection it was, and only what crossed there."""
    async with asked() as a:
        await a.ask("1", "wait")
        await a.ask("2", "wait", source="b")
        for lost in (
            BusWorkerLostMessage(source="a", local="another", jobs=frozenset("12")),
            BusWorkerLostMessage(source="a", local="does", jobs=frozenset("23")),
        ):
            await a.says(lost)
            assert a.answers() == []
        await a.says(BusWorkerLostMessage(source="a", local="does", jobs=frozenset("12")))
        assert a.answers() == [("1", "cancelled")]


async def test_a_job_hears_that_its_requester_asks_how_far_it_is(autojump_clock: trio.testing.MockClock) -> None:
    """Each time, and only from who asked for it; for a job that is not done here it goes to who handles messages."""
    async with asked() as a:
        await a.ask("1", "wait")
        (request,) = a.worker.requests
        heard = list[int]()

        async def listen() -> None:
            for number in range(2):
                await request.update_wanted()
                heard.append(number)

        def wanted(source: str, job_id: str) -> BusMessage:
            return BusJobUpdateRequestMessage(source=source, target="does", job_id=job_id)

        async with trio.open_nursery() as nursery:
            await a.says(wanted("a", "1"))
            nursery.start_soon(listen)
            await a.says(wanted("b", "1"), wanted("a", "2"))
            assert heard == []
            for number in range(2):
                await a.says(wanted("a", "1"))
                assert heard == [*range(number + 1)]


async def test_a_worker_that_cannot_say_goodbye_in_time_ends_all_the_same(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Where the bus takes no answer of a job it is given a second for it."""
    bus, worker = StuckBus(), Does()
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, bus)
        await bus.send(BusJobRequestMessage(source="a", target="does", job_id="1", job_name="wait"))
        await trio.testing.wait_all_tasks_blocked()
        bus.is_stuck = True
        began_s = trio.current_time()
        worker.stop()
    assert trio.current_time() - began_s == pytest.approx(GOODBYE_S)


# Who asks.


@asynccontextmanager
async def asking(registry: WorkerRegistry | None = None) -> AsyncIterator[tuple[Worker, BusSubscription]]:
    bus, worker = LocalBus(), Worker("asks")
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: worker.run(bus, registry=registry, task_status=task_status))
        yield worker, bus.subscribe("far", accepts=lambda message: message.target in ("far", "other"))
        worker.stop()


def answer(job_id: str, status: str = "completed", response: Payload | None = None) -> BusMessage:
    return BusJobResponseMessage(source="far", target="asks", job_id=job_id, status=status, response=response)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "response", "kind", "reason"),
    [
        ("failed", {"error": "no", "day": 7}, JobError, "no"),
        ("error", {"error": 5}, JobError, "5"),
        ("failed", {}, JobError, "the job ended as failed"),
        ("error", None, JobError, "the job ended as error"),
        ("cancelled", None, JobCancelledError, "the job ended as cancelled"),
    ],
)
async def test_an_answer_that_is_none_is_an_error_that_says_why(
    status: str,
    response: Payload | None,
    kind: type[JobError],
    reason: str,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with asking() as (worker, _):
        with pytest.raises(JobError) as info:
            async with worker.job("far") as asked_for:
                await worker.send(answer(asked_for.job_id, status, response))
        assert type(info.value) is kind
        assert (info.value.reason, info.value.worker) == (reason, "far")
        assert (info.value.status, info.value.response) == (status, response)


async def test_each_request_has_an_id_of_its_own_and_says_what_is_asked(autojump_clock: trio.testing.MockClock) -> None:
    """An answer to another one is not taken for it, and one to nobody's goes to who handles messages."""
    async with asking() as (worker, far):
        async with worker.job("far", "dance", {"n": 1}) as first, worker.job("far") as second:
            requests = [await far.receive() for _ in range(2)]
            assert requests == [
                BusJobRequestMessage(
                    source="asks", target="far", job_id=first.job_id, job_name="dance", payload={"n": 1}
                ),
                BusJobRequestMessage(source="asks", target="far", job_id=second.job_id),
            ]
            await worker.send(answer(second.job_id, response={"n": 2}))
            await worker.send(answer(first.job_id, response={"n": 1}))
        assert (first.response, second.response) == ({"n": 1}, {"n": 2})
        assert first.job_id != second.job_id


async def test_who_leaves_a_job_says_so_to_those_that_have_not_answered(autojump_clock: trio.testing.MockClock) -> None:
    """And asks only them how far they are; who has left before anybody was asked says nothing."""
    async with asking() as (worker, far):

        async def leave() -> None:
            async with worker.job_group("far", "other") as group:
                await worker.send(answer(group.job_id))
                await group.request_update()
                raise KeyError

        with pytest.raises(KeyError):
            await leave()
        told = [await far.receive() for _ in range(4)]
        kinds = [(type(message), message.target) for message in told]
        assert sorted(kinds, key=str) == sorted(
            [
                (BusJobRequestMessage, "far"),
                (BusJobRequestMessage, "other"),
                (BusJobUpdateRequestMessage, "other"),
                (BusJobCancelMessage, "other"),
            ],
            key=str,
        )
        assert far.statistics().waiting_data == far.statistics().waiting_system == 0


def about(message: BusMessage, job_id: str) -> BusMessage:
    """The same of that job, where a connection is lost and no other job is named."""
    if isinstance(message, BusWorkerLostMessage) and not message.jobs:
        return evolve(message, jobs=frozenset({job_id}))
    return message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (BusWorkerErrorMessage(source="far", error="boom"), "it failed: boom"),
        (BusWorkerLocalErrorMessage(source="far", target="its parent", error="boom"), "it failed: boom"),
        (BusWorkerLostMessage(source="far", local="asks"), "the connection to it was lost"),
        (BusWorkerErrorMessage(source="other", error="boom"), None),
        (BusWorkerLostMessage(source="far", local="another"), None),
        (BusWorkerLostMessage(source="other", local="asks"), None),
        (BusWorkerLostMessage(source="far", local="asks", jobs=frozenset({"another"})), None),
    ],
)
async def test_news_that_a_worker_is_gone_ends_what_was_asked_of_it(
    message: BusMessage, reason: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    """Of it alone, and only where it concerns who asked; such news is shown to who handles messages too."""
    async with asking() as (worker, _):
        for _ in range(2):
            if reason is None:
                async with worker.job("far") as asked_for:
                    await worker.send(about(message, asked_for.job_id))
                    await worker.send(answer(asked_for.job_id))
            else:
                with pytest.raises(WorkerGoneError) as info:
                    async with worker.job("far", timeout=5) as asked_for:
                        await worker.send(about(message, asked_for.job_id))
                assert (info.value.reason, info.value.worker) == (reason, "far")


@pytest.mark.parametrize("group", [False, True])
async def test_a_job_waits_for_its_worker_only_where_there_is_a_runner(
    group: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Without one no registry would ever tell of it; with one, ``wait_ready=False`` asks at once."""
    for registry, wait_ready, asks in (
        (None, True, 1),
        (WorkerRegistry("r"), True, 0),
        (WorkerRegistry("r"), False, 1),
    ):
        async with asking(registry) as (worker, far):
            with trio.move_on_after(1):
                if group:
                    await worker.job_group("far", wait_ready=wait_ready)
                else:
                    await worker.job("far", wait_ready=wait_ready)
            assert far.statistics().waiting_data == asks


async def test_a_job_that_has_not_begun_says_how_to_begin_it(autojump_clock: trio.testing.MockClock) -> None:
    async with asking() as (worker, _):
        for asked_for in (worker.job("far"), worker.job_group("far")):
            with pytest.raises(RuntimeError, match="async with worker"):
                _ = asked_for.missed


async def test_a_worker_that_cannot_say_that_it_leaves_leaves_in_time(autojump_clock: trio.testing.MockClock) -> None:
    """It is given a second to cancel a job that it asked for, and no longer."""

    class Stuck(LocalBus):  # type: ignore[misc]  # final for users; here it fails on purpose
        async def send(self, message: BusMessage) -> None:
            if isinstance(message, BusJobCancelMessage):
                await trio.sleep_forever()
            await super().send(message)

    worker = Worker("asks")
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, Stuck())
        began_s = trio.current_time()
        with trio.move_on_after(2):
            await worker.job("far")
        assert trio.current_time() - began_s == pytest.approx(3)
        worker.stop()
