"""Jobs: one call on each side, with updates, cancellation both ways, and errors that say whose fault it was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
import trio
import trio.testing

from tests.bus.proxies import client, wire_pair
from trio_transports.bus import (
    BusDataMessage,
    BusJobCancelMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusMessage,
    BusWorkerRegistryMessage,
    JobCancelledError,
    JobError,
    JobEvent,
    JobGroupError,
    JobRequest,
    JobTimeoutError,
    LocalBus,
    Payload,
    WebSocketProxyServer,
    Worker,
    WorkerGoneError,
    WorkerRegistryEntry,
    WorkerRunner,
    job,
)
from trio_transports.bus.answering import MAX_EARLY, MAX_JOBS
from trio_transports.bus.asking import MAX_EVENTS
from trio_transports.params import ReconnectPolicy
from trio_transports.wire.memory import MemoryWire


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


@asynccontextmanager
async def workers(*more: Worker) -> AsyncIterator[tuple[Worker, Doing, WorkerRunner]]:
    runner, asking, doing = WorkerRunner("runner"), Worker("asking"), Doing()
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, asking, doing, *more)
        yield asking, doing, runner
        runner.cancel()


async def test_a_job_is_one_call(autojump_clock: trio.testing.MockClock) -> None:
    """``await worker.job(...)`` is the response; many at once each get their own, and again one after another."""
    async with workers() as (asking, doing, _):
        for _ in range(2):
            assert await asking.job("doing", "double", {"n": 4}) == {"n": 8, "by": "doing"}
        assert await asking.job("doing", "nothing") == {}
        assert doing.seen == ["asking"]
        answers: dict[int, object] = {}

        async def ask(number: int) -> None:
            answers[number] = (await asking.job("doing", "double", {"n": number}))["n"]

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(ask, number)
        assert answers == {number: 2 * number for number in range(100)}


async def test_a_stream_and_updates_are_read_as_events(autojump_clock: trio.testing.MockClock) -> None:
    """In an ``async with`` the events come in order, then the iterator ends and the response is there."""
    async with workers() as (asking, _, _):
        for urgent in (False, True):
            async with asking.job("doing", "updates", {"n": 3, "urgent": urgent}) as asked:
                events = [event async for event in asked]
            assert events == [JobEvent("update", "doing", {"n": number}) for number in range(3)]
            assert asked.response == {"done": True}
        async with asking.job("doing", "stream") as asked:
            kinds = [(event.type, event.data) async for event in asked]
        data = [("stream_data", {"n": number}) for number in range(3)]
        assert kinds == [("stream_start", {"of": 3}), *data, ("stream_end", {"sum": 3})]
        assert asked.response == {"sum": 3}
        assert await asking.job("doing", "stream") == {"sum": 3}


async def test_events_that_nobody_reads_are_bounded(autojump_clock: trio.testing.MockClock) -> None:
    """Past the bound the oldest events go and are counted; the response comes all the same."""
    async with workers() as (asking, _, _):
        async with asking.job("doing", "updates", {"n": MAX_EVENTS + 10}) as asked:
            await trio.testing.wait_all_tasks_blocked()
            first = await anext(asked)
        assert first.data == {"n": 10}
        assert asked.missed == 10
        assert asked.response == {"done": True}


async def test_events_that_nobody_reads_are_bounded_in_bytes(autojump_clock: trio.testing.MockClock) -> None:
    """A stream of megabytes that is not read costs so much memory and no more."""

    class Pouring(Worker):
        @job("pour")
        async def pour(self, request: JobRequest) -> None:
            for number in range(40):
                await request.send_stream_data({"n": number, "raw": bytes(1_000_000)})
            await request.send_stream_end({"all": 40})

    async with workers(Pouring("pouring")) as (asking, _, _):
        for _ in range(2):
            async with asking.job("pouring", "pour") as asked:
                await trio.testing.wait_all_tasks_blocked()
                numbers = [event.data["n"] async for event in asked if event.data and "n" in event.data]
            assert len(numbers) == 40 - asked.missed
            assert 15 <= len(numbers) <= 17
            assert numbers == [*range(40 - len(numbers), 40)]
            assert asked.response == {"all": 40}


async def test_errors_say_whose_fault_it_was(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused, broken, unknown: each is a JobError with the worker, the status and what it answered."""
    async with workers() as (asking, _, _):
        for _ in range(2):
            with pytest.raises(JobError, match="worker 'doing': not on Sundays") as info:
                await asking.job("doing", "refuse")
            assert (info.value.status, info.value.response) == ("failed", {"error": "not on Sundays", "day": 7})
            with pytest.raises(JobError, match="ZeroDivisionError: by zero") as info:
                await asking.job("doing", "break")
            assert info.value.status == "error"
        with pytest.raises(JobError, match="does no job named 'dance'"):
            await asking.job("doing", "dance")
        assert await asking.job("doing", "double", {"n": 1}) == {"n": 2, "by": "doing"}
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def test_a_timeout_cancels_the_job_there(autojump_clock: trio.testing.MockClock) -> None:
    """When ``timeout`` has passed the requester is told, and the worker's task is cancelled; twice."""
    async with workers() as (asking, doing, _):
        for _ in range(2):
            with pytest.raises(JobTimeoutError, match="no answer from doing within 2 s"):
                await asking.job("doing", "slow", timeout=2)
            await trio.testing.wait_all_tasks_blocked()
        assert doing.seen == ["began", "cancelled"] * 2

        async def read() -> None:
            async with asking.job("doing", "slow", timeout=2) as asked:
                async for _ in asked:
                    pass

        with pytest.raises(JobTimeoutError):
            await read()
        with pytest.raises(JobTimeoutError, match="nobody"):
            await asking.job("nobody", timeout=1)


async def test_an_answer_in_time_is_given_to_who_comes_late(autojump_clock: trio.testing.MockClock) -> None:
    """A body that outlasts the timeout of a job that was answered gets the answer and its events, each time."""
    async with workers() as (asking, _, _):
        for _ in range(2):
            async with asking.job("doing", "double", {"n": 1}, timeout=1) as asked:
                await trio.sleep(2)
            assert asked.response == {"n": 2, "by": "doing"}
            async with asking.job("doing", "stream", timeout=1) as asked:
                await trio.sleep(2)
                assert [event.data async for event in asked if event.type == "stream_data"] == [
                    {"n": 0},
                    {"n": 1},
                    {"n": 2},
                ]
            with pytest.raises(JobTimeoutError, match="no answer from doing within 1 s"):
                async with asking.job("doing", "slow", timeout=1):
                    await trio.sleep(2)


async def test_leaving_the_scope_cancels_the_job_there(autojump_clock: trio.testing.MockClock) -> None:
    """An exception in the body, and a cancellation from outside, cancel the worker's task and come out as they are."""
    async with workers() as (asking, doing, _):

        async def fail() -> None:
            async with asking.job("doing", "slow"):
                await trio.testing.wait_all_tasks_blocked()
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1) as scope:
            await asking.job("doing", "slow")
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
        assert doing.seen == ["began", "cancelled"] * 2
        assert await asking.job("doing", "double", {"n": 1}) == {"n": 2, "by": "doing"}


async def test_the_worker_that_ends_cancels_its_jobs(autojump_clock: trio.testing.MockClock) -> None:
    """A worker that is stopped says of each of its jobs that it is cancelled."""
    async with workers() as (asking, doing, _):

        async def stop() -> None:
            await trio.sleep(1)
            doing.stop()

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop)
            with pytest.raises((JobCancelledError, WorkerGoneError)):
                await asking.job("doing", "slow")
        assert trio.current_time() - began < 2


async def test_a_worker_that_fails_fails_its_jobs(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waits for a worker that crashes is told at once, not at the timeout."""

    class Crashing(Worker):
        async def main(self) -> None:
            await trio.sleep(1)
            raise ZeroDivisionError

        async def on_bus_message(self, message: BusMessage) -> None:
            pass

    async with workers(Crashing("crashing")) as (asking, _, _):
        began = trio.current_time()
        with pytest.raises(WorkerGoneError, match="crashing"):
            await asking.job("crashing", "anything", timeout=100)
        assert trio.current_time() - began < 2


def told(*names: str, alive_for_s: float | None = 0.6, runner: str = "far") -> BusMessage:
    entries = [WorkerRegistryEntry(name=name, started_at=1.0) for name in names]
    return BusWorkerRegistryMessage(source=runner, runner=runner, workers=entries, alive_for_s=alive_for_s)


async def test_a_silent_runner_fails_what_was_asked_of_its_workers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A runner that promised to be heard of and is not has died: jobs there fail in that time; and so a second time."""
    async with workers() as (asking, _, runner):
        for round_ in (1, 2):
            await asking.send(told("distant"))
            async with trio.open_nursery() as nursery:

                async def beat() -> None:
                    for _ in range(20):
                        await trio.sleep(0.2)
                        await asking.send(told("distant"))

                nursery.start_soon(beat)
                began = trio.current_time()
                with pytest.raises(WorkerGoneError, match=r"worker 'distant'.*not heard of"):
                    await asking.job("distant", "anything")
                assert 4.5 < trio.current_time() - began < 4.7, round_
            assert runner.registry.find("distant") is None


async def test_a_process_that_stood_still_blames_no_other(autojump_clock: trio.testing.MockClock) -> None:
    """After a stall the beats that came meanwhile are read before anybody is given up; and so a second time.

    Who does not beat then either is gone within its time.
    """
    async with workers() as (asking, _, runner):
        gone: list[str] = []
        runner.registry.on_gone(gone.append)
        for _ in range(2):
            await asking.send(told("distant"))
            await trio.sleep(0.1)
            autojump_clock.jump(30)
            await trio.testing.wait_all_tasks_blocked()  # the runner has looked
            await asking.send(told("distant"))
            await trio.sleep(0.5)
            assert gone == []
        await asking.send(told("distant"))
        await trio.sleep(0.1)
        autojump_clock.jump(30)
        await trio.sleep(0.7)
        assert gone == ["distant"]


async def test_a_runner_that_says_goodbye_or_drops_a_worker_is_believed(autojump_clock: trio.testing.MockClock) -> None:
    """A worker that its beating runner no longer names is gone at once; one that is elsewhere too is not."""
    async with workers() as (asking, _, runner):
        for after in (told("other"), told()):
            await asking.send(told("distant", "other"))
            await asking.send(told("other", runner="second"))

            async def tell(message: BusMessage = after) -> None:
                await trio.sleep(0.1)
                await asking.send(message)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(tell)
                with pytest.raises(WorkerGoneError):
                    await asking.job("distant", "anything", timeout=5)
            assert runner.registry.find("other") is not None


async def test_a_runner_without_a_heartbeat_is_never_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """Pipecat's runners say once what they have: a job there waits as long as its timeout says."""
    async with workers() as (asking, _, _):
        await asking.send(told("distant", alive_for_s=None))
        with pytest.raises(JobTimeoutError):
            await asking.job("distant", "anything", timeout=1000)


async def test_a_heartbeat_tells_what_there_is_and_a_goodbye(autojump_clock: trio.testing.MockClock) -> None:
    """A runner with a ``heartbeat`` tells its workers so often, and that it has none when it ends."""
    bus = LocalBus()
    heard = bus.subscribe("heard", accepts=lambda message: isinstance(message, BusWorkerRegistryMessage))
    runner = WorkerRunner("beating", bus=bus, heartbeat=0.2)
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Doing())
        await trio.sleep(1.1)
        runner.cancel()
    beats = [beat async for beat in heard]
    names = [[entry.name for entry in beat.workers] for beat in beats if isinstance(beat, BusWorkerRegistryMessage)]
    assert names[-1] == []
    assert names[-6:-1] == [["doing"]] * 5
    assert isinstance(beats[-1], BusWorkerRegistryMessage)
    assert beats[-1].alive_for_s == pytest.approx(0.6)


async def test_a_group_asks_several_workers(autojump_clock: trio.testing.MockClock) -> None:
    """All answers, by worker; events say from whom."""
    async with workers(Doing("second")) as (asking, _, _):
        both = await asking.job_group("doing", "second", name="double", payload={"n": 1})
        assert both == {name: {"n": 2, "by": name} for name in ("doing", "second")}
        async with asking.job_group("doing", "second", name="updates", payload={"n": 1}) as group:
            tellers = {event.worker_name async for event in group}
        assert tellers == {"doing", "second"}
        assert group.responses == {"doing": {"done": True}, "second": {"done": True}}


async def test_a_group_ends_with_its_first_error_or_does_not(autojump_clock: trio.testing.MockClock) -> None:
    """With ``cancel_on_error`` one failure cancels the rest; without it the others answer, and the errors are kept."""

    class Refusing(Doing):
        @job("slow")
        async def slow(self, request: JobRequest) -> Payload:
            raise JobError("no")

    async with workers(Refusing("refusing")) as (asking, doing, _):
        with pytest.raises(JobGroupError, match="worker 'refusing': no") as info:
            await asking.job_group("doing", "refusing", name="slow")
        assert list(info.value.errors) == ["refusing"]
        await trio.testing.wait_all_tasks_blocked()
        assert doing.seen == ["began", "cancelled"]
        async with asking.job_group("doing", "refusing", name="slow", cancel_on_error=False) as group:
            pass
        assert group.responses == {"doing": {"slow": True}}
        assert list(group.errors) == ["refusing"]
        for names in ((), ("doing", "doing")):
            with pytest.raises(ValueError, match="one or more workers, each once"):
                asking.job_group(*names)


async def test_a_group_that_has_failed_waits_for_nobody(autojump_clock: trio.testing.MockClock) -> None:
    """One worker's error ends the group at once, though another one of it is not there yet; and it is asked no more."""
    late = Doing("late")
    async with workers() as (asking, _, runner):
        began = trio.current_time()
        for _ in range(2):
            with pytest.raises(JobGroupError, match="not on Sundays"):
                await asking.job_group("doing", "late", name="refuse", timeout=50)
        assert trio.current_time() - began < 1
        await runner.add_worker(late)
        assert set(await asking.job_group("doing", "late", name="nothing", timeout=50)) == {"doing", "late"}
        assert late.seen == ["asking"]


async def test_sequential_jobs_wait_for_each_other(autojump_clock: trio.testing.MockClock) -> None:
    """``sequential`` jobs of one name run one at a time, in order, less those cancelled meanwhile; others at once."""
    async with workers() as (asking, doing, _):

        async def ask(number: int, name: str, limit: float) -> None:
            with trio.move_on_after(limit):
                await asking.job("doing", name, {"n": number})

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(ask, number, "in turn", 1.5 if number == 2 else 100)
                await trio.testing.wait_all_tasks_blocked()
        assert doing.seen == [(what, number) for number in (0, 1, 3) for what in ("begins", "ends")]
        doing.seen.clear()
        async with trio.open_nursery() as nursery:
            for number in range(2):
                nursery.start_soon(ask, number, "at once", 100)
        assert [str(seen)[:8] for seen in doing.seen] == ["('begins"] * 2 + ["('ends',"] * 2


async def test_an_update_is_there_for_the_asking(autojump_clock: trio.testing.MockClock) -> None:
    """``request_update`` reaches the job, each time."""
    async with workers() as (asking, _, _):
        async with asking.job("doing", "watched") as asked:
            await trio.testing.wait_all_tasks_blocked()
            await asked.request_update()
            assert (await anext(asked)).data == {"half": True}
            await asked.request_update()
        assert asked.response == {}


async def test_a_job_may_be_asked_for_inside_a_handler(autojump_clock: trio.testing.MockClock) -> None:
    """A worker that waits for a job while it handles a message, or does a job, gets its answer."""

    class Asking(Worker):
        async def on_bus_message(self, message: BusMessage) -> None:
            if isinstance(message, BusJobRequestMessage):
                answer = await self.job("doing", "double", {"n": 3}, timeout=5)
                await self.send(
                    BusJobResponseMessage(
                        source=self.name,
                        target=message.source,
                        job_id=message.job_id,
                        status="completed",
                        response=answer,
                    )
                )

    async with workers(Asking("middle")) as (asking, _, _):
        for _ in range(2):
            assert await asking.job("middle", timeout=10) == {"n": 6, "by": "doing"}


class Selfish(Worker):
    """Asks itself for a job: in the handlers of data and of its activation, and from within another job."""

    def __init__(self, name: str = "selfish") -> None:
        super().__init__(name)
        self.got: list[object] = []

    @job("one")
    async def one(self, request: JobRequest) -> Payload:
        return {"n": 1}

    @job("two")
    async def two(self, request: JobRequest) -> Payload:
        return await self.job(self.name, "one")

    async def on_activated(self, args: Payload | None) -> None:
        self.got.append(await self.job(self.name, "one", timeout=5))

    async def on_bus_message(self, message: BusMessage) -> None:
        if message.target != self.name:
            return
        self.got.append(await self.job(self.name, "two", timeout=5))
        self.got.append(await self.job_group(self.name, name="one", timeout=5))


async def test_a_worker_may_ask_itself(autojump_clock: trio.testing.MockClock) -> None:
    """Its handler of data may wait for a job of its own, behind which data waits; twice, and at no cost of time."""
    selfish = Selfish()
    async with workers(selfish) as (asker, _, _):
        for _ in range(2):
            await asker.send(BusDataMessage(source="asking", target="selfish"))
            await asker.send(BusDataMessage(source="asking", target="selfish"))
        await trio.sleep(1)
        assert selfish.got == [{"n": 1}, *[{"n": 1}, {"selfish": {"n": 1}}] * 4]
    assert trio.current_time() < 2


class ByItself(Worker):
    """Would have to answer itself where it asks."""

    def __init__(self, name: str = "by itself") -> None:
        super().__init__(name)
        self.errors: list[JobError] = []

    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusJobRequestMessage):
            answer = BusJobResponseMessage(
                source=self.name, target=message.source, job_id=message.job_id, status="completed", response={"n": 2}
            )
            await self.send(answer)
            return
        for ask in (self.job, self.job_group) if message.target == self.name else ():
            try:
                await ask(self.name)
            except JobError as exc:
                self.errors.append(exc)


async def test_a_handler_that_would_wait_for_itself_is_told(autojump_clock: trio.testing.MockClock) -> None:
    """Who does jobs in ``on_bus_message`` cannot wait for one there: an error says so. Elsewhere it can; twice."""
    worker = ByItself()
    async with workers(worker) as (asker, _, _):
        for round_ in (1, 2):
            await asker.send(BusDataMessage(source="asking", target="by itself"))
            await trio.sleep(1)
            assert ["would wait for itself" in str(error) for error in worker.errors] == [True, True] * round_
            assert await worker.job(worker.name, timeout=5) == {"n": 2}


async def test_a_job_comes_in_order_with_the_data(autojump_clock: trio.testing.MockClock) -> None:
    """A job that comes while data is handled, or waits, begins after it; one that finds nothing begins at once."""
    log: list[str] = []

    class Slowly(Worker):
        @job("note")
        async def note(self, request: JobRequest) -> None:
            log.append("job")

        async def on_bus_message(self, message: BusMessage) -> None:
            if message.target == self.name:
                log.append("begin")
                await trio.sleep(1)
                log.append("end")

    async with workers(Slowly("slowly")) as (asker, _, _):
        for _ in range(2):
            log.clear()
            await asker.job("slowly", "note")
            await asker.send(BusDataMessage(source="asking", target="slowly"))
            await asker.send(BusDataMessage(source="asking", target="slowly"))
            await asker.job("slowly", "note")
            assert log == ["job", "begin", "end", "begin", "end", "job"]


async def test_a_job_has_its_workers_context(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever's task it begins in, a job sees the context variables of its worker, not of who asked."""
    where: ContextVar[str] = ContextVar("where", default="nowhere")

    class Seeing(Worker):
        @job("see")
        async def see(self, request: JobRequest) -> Payload:
            return {"where": where.get()}

    async with workers(Seeing("seeing")) as (asker, _, _):
        where.set("the asker's")
        for _ in range(2):
            assert await asker.job("seeing", "see") == {"where": "nowhere"}


async def test_a_job_waits_for_its_worker(autojump_clock: trio.testing.MockClock) -> None:
    """A job for a worker that is not there yet is sent when it is ready."""
    async with workers() as (asking, _, runner):

        async def come_later() -> None:
            await trio.sleep(3)
            await runner.add_worker(Doing("late"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(come_later)
            assert await asking.job("late", "double", {"n": 1}, timeout=5) == {"n": 2, "by": "late"}


async def send_raw(worker: Worker, *messages: BusMessage) -> None:
    for message in messages:
        await worker.send(message)
    await trio.testing.wait_all_tasks_blocked()


async def test_only_who_asked_can_cancel(autojump_clock: trio.testing.MockClock) -> None:
    """A cancellation from another source, or of another id, changes nothing; one that comes early counts."""
    async with workers() as (asking, doing, _):

        def of(kind: Any, source: str, job_id: str = "j", **more: object) -> BusMessage:  # noqa: ANN401 - a message type
            message: BusMessage = kind(source=source, target="doing", job_id=job_id, **more)
            return message

        await send_raw(asking, of(BusJobRequestMessage, "asking", job_name="slow"))
        await send_raw(asking, of(BusJobCancelMessage, "stranger"), of(BusJobCancelMessage, "asking", "k"))
        assert doing.seen == ["began"]
        await send_raw(asking, of(BusJobCancelMessage, "asking"))
        assert doing.seen == ["began", "cancelled"]
        answers = asking.bus.subscribe("answers", accepts=lambda message: isinstance(message, BusJobResponseMessage))
        await send_raw(asking, of(BusJobRequestMessage, "asking", "k", job_name="slow"))
        answer = await answers.receive()
        assert isinstance(answer, BusJobResponseMessage)
        assert (answer.job_id, answer.status) == ("k", "cancelled")
        assert doing.seen == ["began", "cancelled"]
        await send_raw(asking, *(of(BusJobCancelMessage, "asking", f"e{number}") for number in range(200)))
        assert MAX_EARLY >= 200
        answers.close()


async def test_what_is_asked_at_once_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    """Past so many jobs, or so many bytes of them, a request is answered with "failed"; later there is room again."""
    async with workers() as (asking, _, _):
        async with trio.open_nursery() as nursery:
            for _ in range(MAX_JOBS):
                nursery.start_soon(asking.job("doing", "slow")._whole)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(JobError, match="too many jobs"):
                await asking.job("doing", "nothing")
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        big = {"x": "y" * 9_000_000}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asking.job("doing", "slow", big)._whole)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(JobError, match="too many jobs"):
                await asking.job("doing", "nothing", big)
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert await asking.job("doing", "nothing", big) == {}


async def test_late_and_foreign_answers_are_nobodys(autojump_clock: trio.testing.MockClock) -> None:
    """An answer after the timeout, one of a worker that was not asked, and a second one are not taken for the job's."""

    class Listening(Worker):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.heard: list[BusMessage] = []

        async def on_bus_message(self, message: BusMessage) -> None:
            if message.target == self.name:
                self.heard.append(message)

    async with workers(Listening("listening")) as (_, _, runner):
        (listening,) = (worker for worker in runner.workers if isinstance(worker, Listening))
        async with listening.job("doing", "slow") as asked:

            def answer(source: str, n: int) -> BusMessage:
                return BusJobResponseMessage(
                    source=source, target="listening", job_id=asked.job_id, status="completed", response={"n": n}
                )

            await send_raw(listening, answer("stranger", 1), answer("doing", 2), answer("doing", 3))
        await send_raw(listening, answer("doing", 4))
        assert asked.response == {"n": 2}
        assert listening.heard == []


def test_a_job_has_one_name() -> None:
    """Two methods for one name, and a mark without a name, are told at once."""

    class Twice(Worker):
        @job("a")
        async def first(self, request: JobRequest) -> None: ...

        @job("a")
        async def second(self, request: JobRequest) -> None: ...

    async def run() -> None:
        await Twice("twice").run(LocalBus())

    with pytest.raises(ValueError, match="two jobs named 'a'"):
        trio.run(run)
    with pytest.raises(TypeError, match=r"marked with its name, @job\('name'\)"):
        job(test_a_job_has_one_name)  # type: ignore[arg-type]


async def test_a_job_that_cannot_cross_a_proxy_fails_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """A request, and an answer, that cannot be written for the other side is an error there and then, each time."""

    class Unwritable(Doing):
        @job("unwritable")
        async def unwritable(self, request: JobRequest) -> Payload:
            return {"x": object()}

    near_wire, far_wire = wire_pair()
    near, far = WorkerRunner("near runner"), WorkerRunner("far runner")
    asking = Worker("near")
    async with trio.open_nursery() as nursery:
        await nursery.start(near.run, asking, client(near_wire))
        await nursery.start(far.run, Unwritable("far"))
        joined = WebSocketProxyServer("gate", websocket=far_wire, worker_name="far", remote_worker_name="near")
        nursery.start_soon(far.run_worker, joined)
        began = trio.current_time()
        for _ in range(2):
            for name, payload in (("double", {"n": object()}), ("unwritable", None)):
                with pytest.raises(JobError, match="cannot be written as JSON") as info:
                    await asking.job("far", name, payload, timeout=50)
                assert info.value.status == "error"
            assert await asking.job("far", "double", {"n": 2}, timeout=50) == {"n": 4, "by": "far"}
        assert trio.current_time() - began < 5
        near.cancel()
        far.cancel()


async def test_a_job_ends_with_the_connection_it_crosses(autojump_clock: trio.testing.MockClock) -> None:
    """When the link is lost who asked is told, and who does the job is cancelled; over the next link all is well."""
    near, far = WorkerRunner("near runner"), WorkerRunner("far runner")
    asking, doing = Worker("near"), Doing("far")
    pairs = [wire_pair() for _ in range(3)]
    proxy = client(*(pair[0] for pair in pairs), reconnect=ReconnectPolicy(initial_delay=0.1))

    async def serve() -> None:
        for _, wire in pairs:
            gate = WebSocketProxyServer("gate", websocket=wire, worker_name="far", remote_worker_name="near")
            await far.run_worker(gate)

    async with trio.open_nursery() as nursery:
        await nursery.start(near.run, asking, proxy)
        await nursery.start(far.run, doing)
        nursery.start_soon(serve)
        for number in (1, 2):

            async def cut(wire: MemoryWire = pairs[number - 1][0]) -> None:
                await trio.sleep(1)
                wire.abort()

            nursery.start_soon(cut)
            began = trio.current_time()
            with pytest.raises(WorkerGoneError, match="connection to it was lost"):
                await asking.job("far", "slow", timeout=100)
            assert trio.current_time() - began < 2
            await trio.sleep(5)
            assert doing.seen == ["began", "cancelled"] * number
            assert await asking.job("far", "double", {"n": 1}, timeout=100) == {"n": 2, "by": "far"}
        near.cancel()
        far.cancel()
        nursery.cancel_scope.cancel()
