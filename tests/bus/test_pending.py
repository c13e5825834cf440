"""One job that was asked for: its events, its answers, and when it is done."""

import pytest
import trio
import trio.testing

from trio_transports.bus import JobError, JobEvent
from trio_transports.bus import asking as jobs_asked
from trio_transports.bus.asking import MAX_EVENTS, Pending
from trio_transports.bus.weight import NODE


def pending(*workers: str, cancel_on_error: bool = True) -> Pending:
    return Pending("job", workers or ("a",), cancel_on_error)


def event(number: int) -> JobEvent:
    """Its data weigh three values and a letter."""
    return JobEvent("update", "a", {"n": number})


async def numbers(job: Pending) -> list[object]:
    found = []
    while (told := await job.next_event()) is not None:
        found.append((told.data or {}).get("n"))
    return found


async def test_as_many_events_wait_as_there_is_room_for() -> None:
    """None is missed before that, and one for each that is told after it; who has read makes room."""
    job = pending()
    for number in range(MAX_EVENTS):
        job.tell(event(number))
    assert job.missed == 0
    for number in range(2):
        job.tell(event(MAX_EVENTS + number))
    assert job.missed == 2
    assert await job.next_event() == event(2)
    job.tell(event(MAX_EVENTS + 2))
    assert job.missed == 2
    job.answer("a", {})
    assert await numbers(job) == [*range(3, MAX_EVENTS + 3)]


async def test_as_many_bytes_wait_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first weighs nothing; those after it fill the room exactly, twice, and one more costs the oldest."""
    weighs = 3 * NODE + 1
    monkeypatch.setattr(jobs_asked, "MAX_EVENT_BYTES", 2 * weighs)
    job = pending()
    for _ in range(2):
        for number in range(3):
            job.tell(event(number))
        assert job.missed == 0
        assert [await job.next_event() for _ in range(3)] == [event(number) for number in range(3)]
    for number in range(4):
        job.tell(event(number))
    assert job.missed == 2  # the first, which weighs nothing, makes no room
    assert await job.next_event() == event(2)
    job.tell(event(4))
    assert job.missed == 2
    job.answer("a", {})
    assert await numbers(job) == [3, 4]


async def test_an_event_larger_than_the_bound_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_asked, "MAX_EVENT_BYTES", NODE)
    job = pending()
    for number in range(3):
        job.tell(event(number))
        assert job.missed == number
    job.answer("a", {})
    assert await numbers(job) == [2]


async def test_events_that_nobody_wants_are_not_kept() -> None:
    """Nor are they missed."""
    job = pending()
    job.tell(event(1))
    job.wants_events = False
    job.tell(event(2))
    job.answer("a", {})
    assert (await numbers(job), job.missed) == ([1], 0)


@pytest.mark.parametrize("cancel_on_error", [True, False])
def test_a_job_is_done_when_all_have_answered_or_one_error_ends_it(cancel_on_error: bool) -> None:
    """The first answer of each worker counts, and none of somebody who was not asked."""
    job = pending("a", "b", "c", cancel_on_error=cancel_on_error)
    job.answer("a", {"n": 1})
    job.answer("a", {"n": 2})
    job.answer("stranger", JobError("no"))
    assert (job.responses, job.errors, job.unanswered, job.is_done) == ({"a": {"n": 1}}, {}, ["b", "c"], False)
    error = JobError("no")
    job.answer("b", error)
    job.answer("b", {})
    assert (job.errors, job.is_done) == ({"b": error}, cancel_on_error)
    job.answer("c", {})
    assert job.is_done
    assert list(job.responses) == ["a", "c"]


async def test_waiting_is_a_checkpoint_even_where_nothing_is_waited_for() -> None:
    job = pending()
    job.tell(event(1))
    job.answer("a", {})
    with trio.testing.assert_checkpoints():
        await job.next_event()
    with trio.testing.assert_checkpoints():
        await job.next_event()
    with trio.testing.assert_checkpoints():
        await job.wait()


async def test_all_that_wait_hear_of_an_answer(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever waits for an event, for the end, or until something is so; and an event ends only the first of them."""
    for answered in (False, True):
        job, log = pending(), list[object]()

        async def read(job: Pending = job, log: list[object] = log) -> None:
            log.append(await job.next_event())

        async def wait(job: Pending = job, log: list[object] = log) -> None:
            await job.wait()
            log.append("done")

        async def wait_until(job: Pending = job, log: list[object] = log) -> None:
            log.append(await job.wait_until(lambda: False))

        async with trio.open_nursery() as nursery:
            for task in (read, wait, wait_until):
                nursery.start_soon(task)
            await trio.testing.wait_all_tasks_blocked()
            if answered:
                job.answer("a", {})
                await trio.testing.wait_all_tasks_blocked()
                assert sorted(map(str, log)) == ["False", "None", "done"]
            else:
                job.tell(event(1))
                await trio.testing.wait_all_tasks_blocked()
                assert log == [event(1)]
            nursery.cancel_scope.cancel()


async def test_what_is_waited_for_is_looked_at_when_it_may_be_so(autojump_clock: trio.testing.MockClock) -> None:
    """At once, and whenever somebody says so; a job that is over is not waited for."""
    job, is_so, told = pending(), False, list[bool]()

    async def wait() -> None:
        told.append(await job.wait_until(lambda: is_so))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        is_so = True
        await trio.testing.wait_all_tasks_blocked()
        assert told == []
        job.look_again()
    await wait()
    job.answer("a", {})
    await wait()
    assert told == [True, True, False]
