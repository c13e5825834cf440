"""Jobs as who does them sees them: in order with the data, in turn, bounded, and cancelled by nobody else."""

from contextvars import ContextVar
from typing import Any

import pytest
import trio
import trio.testing

from tests.bus.doing import workers
from trio_transports.bus import (
    BusDataMessage,
    BusJobCancelMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusMessage,
    JobError,
    JobRequest,
    LocalBus,
    Payload,
    Worker,
    job,
)
from trio_transports.bus.answering import MAX_EARLY, MAX_JOBS


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


async def test_a_job_has_one_name(autojump_clock: trio.testing.MockClock) -> None:
    """Two methods for one name, and a mark without a name, are told at once."""

    class Twice(Worker):
        @job("a")
        async def first(self, request: JobRequest) -> None: ...

        @job("a")
        async def second(self, request: JobRequest) -> None: ...

    with pytest.raises(ValueError, match="two jobs named 'a'"):
        await Twice("twice").run(LocalBus())
    with pytest.raises(TypeError, match=r"marked with its name, @job\('name'\)"):
        job(test_a_job_has_one_name)  # type: ignore[arg-type]
