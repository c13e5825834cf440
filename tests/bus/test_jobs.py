"""Jobs as who asks for them sees them: one call, with updates, errors that say whose fault it was, and groups."""

import pytest
import trio
import trio.testing

from tests.bus.doing import Doing, workers
from trio_transports.bus import (
    BusDeactivateWorkerMessage,
    BusFrameMessage,
    BusMessage,
    BusWorkerErrorMessage,
    JobError,
    JobEvent,
    JobGroupError,
    JobRequest,
    JobTimeoutError,
    Payload,
    Worker,
    WorkerRunner,
    job,
)
from trio_transports.bus.asking import MAX_EVENTS
from trio_transports.frames import TextFrame


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


async def test_a_group_is_asked_at_once_though_one_of_it_is_late(autojump_clock: trio.testing.MockClock) -> None:
    """Each as soon as it is there, whatever its place; who fails before it came is not waited for."""
    for names in (("late", "doing"), ("doing", "late")):
        async with workers() as (asking, doing, runner):

            async def come_later(runner: WorkerRunner = runner) -> None:
                await trio.sleep(3)
                await runner.add_worker(Doing("late"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(come_later)
                async with asking.job_group(*names, name="nothing", timeout=50) as asked:
                    pass
            assert set(asked.responses) == {"late", "doing"}
            assert doing.seen == ["asking"]
            began_s = trio.current_time()
            with pytest.raises(JobGroupError, match="not on Sundays"):
                await asking.job_group("never", *names, name="refuse", timeout=50)
            assert trio.current_time() - began_s < 1
            async with trio.open_nursery() as nursery:

                async def fails(asking: Worker = asking) -> None:
                    await trio.sleep(1)
                    await asking.send(BusWorkerErrorMessage(source="never", error="it burnt"))

                nursery.start_soon(fails)
                group = asking.job_group("never", *names, name="nothing", cancel_on_error=False)
                with trio.fail_after(10):
                    assert set(await group) == {"late", "doing"}
                assert set(group.errors) == {"never"}


async def test_a_worker_that_is_asked_while_it_waits_for_others_hears_it_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with workers() as (asking, doing, _):
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(JobTimeoutError):
                    await asking.job_group("late", "doing", name="slow", timeout=2)

            nursery.start_soon(ask)
            await trio.sleep(1)
            assert doing.seen == ["began"]
        await trio.testing.wait_all_tasks_blocked()
        assert doing.seen == ["began", "cancelled"]


class Picky(Doing):
    """It wants frames, and is busy with each for a while."""

    def accepts(self, message: BusMessage) -> bool:
        return isinstance(message, BusFrameMessage)

    async def on_bus_message(self, message: BusMessage) -> None:
        await trio.sleep(5)


@pytest.mark.parametrize("is_busy", [False, True])
async def test_no_accepts_keeps_a_job_from_its_worker(is_busy: bool, autojump_clock: trio.testing.MockClock) -> None:
    """Nor its end, whether it does something else when it is asked or not; nor does its being deactivated."""
    picky = Picky("picky")
    async with workers(picky) as (asking, _, _):
        for round_ in (1, 2):
            if is_busy:
                await asking.send(BusFrameMessage(source="x", target="picky", frame=TextFrame(text="x")))
                await trio.testing.wait_all_tasks_blocked()
            assert await asking.job("picky", "double", {"n": 4}, timeout=50) == {"n": 8, "by": "picky"}
            with pytest.raises(JobTimeoutError):
                await asking.job("picky", "slow", timeout=1)
            await trio.testing.wait_all_tasks_blocked()
            assert picky.seen == ["began", "cancelled"] * round_
        with pytest.raises(JobTimeoutError):
            async with asking.job("picky", "slow", timeout=1):
                await asking.send(BusDeactivateWorkerMessage(source="x", target="picky"))
        await trio.testing.wait_all_tasks_blocked()
        assert picky.seen == ["began", "cancelled"] * 3


async def test_an_update_is_there_for_the_asking(autojump_clock: trio.testing.MockClock) -> None:
    """``request_update`` reaches the job, each time."""
    async with workers() as (asking, _, _):
        async with asking.job("doing", "watched") as asked:
            await trio.testing.wait_all_tasks_blocked()
            await asked.request_update()
            assert (await anext(asked)).data == {"half": True}
            await asked.request_update()
        assert asked.response == {}


async def test_a_job_waits_for_its_worker(autojump_clock: trio.testing.MockClock) -> None:
    """A job for a worker that is not there yet is sent when it is ready."""
    async with workers() as (asking, _, runner):

        async def come_later() -> None:
            await trio.sleep(3)
            await runner.add_worker(Doing("late"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(come_later)
            assert await asking.job("late", "double", {"n": 1}, timeout=5) == {"n": 2, "by": "late"}
