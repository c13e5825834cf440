"""What a worker and a runner are, say and refuse, rule by rule."""

import pytest
import trio
import trio.testing

from trio_transports.bus import (
    BusActivateWorkerMessage,
    BusAddWorkerMessage,
    BusCancelMessage,
    BusCancelWorkerMessage,
    BusDataMessage,
    BusDeactivateWorkerMessage,
    BusEndMessage,
    BusEndWorkerMessage,
    BusJobRequestMessage,
    BusJobUpdateRequestMessage,
    BusMessage,
    BusWorkerErrorMessage,
    BusWorkerLocalErrorMessage,
    BusWorkerReadyMessage,
    BusWorkerRegistryMessage,
    JobRequest,
    LocalBus,
    Payload,
    Worker,
    WorkerRegistry,
    WorkerRegistryEntry,
    WorkerRunner,
    job,
)
from trio_transports.errors import LocalProtocolError


class Notes(Worker):
    """Takes notes of its messages, and of how it ends."""

    def __init__(self, name: str = "w", *, active: bool = True, ends_after_s: float = 0.0) -> None:
        super().__init__(name, active=active)
        self.heard: list[BusMessage] = []
        self.ends: list[str | None] = []
        self._ends_after_s = ends_after_s

    async def on_bus_message(self, message: BusMessage) -> None:
        self.heard.append(message)

    async def on_end(self, reason: str | None) -> None:
        self.ends.append(reason)
        await trio.sleep(self._ends_after_s)


@pytest.mark.parametrize("name", ["", None, 5, b"w"])
def test_a_worker_has_a_name(name: object) -> None:
    with pytest.raises(ValueError, match=r"Worker\.name must be a non-empty string"):
        Worker(name)  # type: ignore[arg-type]


async def test_a_worker_says_what_it_is_doing(autojump_clock: trio.testing.MockClock) -> None:
    for active, state in ((True, "active"), (False, "inactive")):
        worker = Worker("w", active=active)
        worker.stop()
        assert (repr(worker), worker.active) == ("<Worker 'w', not running>", active)
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.run, LocalBus())
            assert repr(worker) == f"<Worker 'w', {state}>"
            worker.stop()
        assert repr(worker) == "<Worker 'w', not running>"


async def test_what_a_worker_has_only_while_it_runs(autojump_clock: trio.testing.MockClock) -> None:
    """Each of its verbs says so by its name."""
    worker, registry = Worker("w"), WorkerRegistry("r")
    for what, use in (
        ("bus", lambda: worker.bus),
        ("registry", lambda: worker.registry),
        (r"watch\(\)", lambda: worker.watch("x")),
        (r"job\(\)", lambda: worker.job("x")),
        (r"job_group\(\)", lambda: worker.job_group("x")),
    ):
        with pytest.raises(LocalProtocolError, match=f"{what} is there only while it runs"):
            use()
    async with trio.open_nursery() as nursery:
        bus = LocalBus()
        await nursery.start(lambda task_status: worker.run(bus, registry=registry, task_status=task_status))
        assert (worker.bus, worker.registry) == (bus, registry)
        (entry,) = registry.local_workers
        assert (entry.name, entry.parent, entry.active, entry.bridged) == ("w", None, True, False)
        worker.stop()


async def test_a_child_has_one_parent(autojump_clock: trio.testing.MockClock) -> None:
    """It may be given to the same one again, and to no other."""
    bus = LocalBus()
    reader = bus.subscribe("reader", accepts=lambda message: isinstance(message, BusAddWorkerMessage))
    parent, other, child = Worker("parent"), Worker("other"), Worker("child")
    async with trio.open_nursery() as nursery:
        for worker in (parent, other):
            await nursery.start(worker.run, bus)
        for _ in range(2):
            await parent.add_worker(child)
            assert await reader.receive() == BusAddWorkerMessage(source="parent", worker=child)
        with pytest.raises(LocalProtocolError, match="is already a child of 'parent'"):
            await other.add_worker(child)
        assert child.parent == "parent"
        for worker in (parent, other):
            worker.stop()


LIFE = (BusActivateWorkerMessage, BusDeactivateWorkerMessage, BusEndWorkerMessage)


@pytest.mark.parametrize("target", ["w", None])
async def test_a_message_of_its_life_may_be_for_it_or_for_all(
    target: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    """What is for another worker changes nothing, even in one that listens to all messages."""

    class Nosy(Notes):
        def accepts(self, message: BusMessage) -> bool:
            return message.source == "a"

    bus, worker = LocalBus(), Nosy()
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, bus)
        for kind in (*LIFE, BusCancelWorkerMessage):
            await bus.send(kind(source="a", target="other"))
        await trio.testing.wait_all_tasks_blocked()
        assert (worker.active, worker.ends) == (True, [])
        assert {type(message) for message in worker.heard} == {*LIFE, BusCancelWorkerMessage}
        for kind, active in ((BusDeactivateWorkerMessage, False), (BusActivateWorkerMessage, True)):
            await bus.send(kind(source="a", target=target))
            await trio.testing.wait_all_tasks_blocked()
            assert worker.active is active
            assert [entry.active for entry in worker.registry.local_workers] == [active]
        await bus.send(BusEndWorkerMessage(source="a", target=target, reason="r"))
    assert worker.ends == ["r"]
    assert len(worker.heard) == 4


async def test_what_comes_after_an_end_is_not_handled(autojump_clock: trio.testing.MockClock) -> None:
    """Neither while it ends, nor when it has; a cancellation cuts its end short."""
    for cancelled, took_s in ((False, 3.0), (True, 1.0)):
        bus, worker = LocalBus(), Notes(ends_after_s=3.0)
        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.run, bus)
            await bus.send(BusEndWorkerMessage(source="a", target="w"))
            await bus.send(BusDataMessage(source="a", target="w"))
            await trio.sleep(1)
            if cancelled:
                await bus.send(BusCancelWorkerMessage(source="a", target="w"))
        assert trio.current_time() - began_s == pytest.approx(took_s)
        assert worker.heard == []


async def test_a_request_that_no_job_is_there_for_goes_to_who_handles_messages(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """So does an update that is wanted of it; an inactive worker hears of neither."""
    for active in (True, False):
        bus, worker = LocalBus(), Notes(active=active)
        messages = [
            BusJobRequestMessage(source="a", target="w", job_id="1", job_name="x"),
            BusJobUpdateRequestMessage(source="a", target="w", job_id="1"),
        ]
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.run, bus)
            for message in messages:
                await bus.send(message)
            await trio.testing.wait_all_tasks_blocked()
            worker.stop()
        assert worker.heard == (messages if active else [])


async def test_a_worker_that_fails_says_so_to_whom_it_concerns(autojump_clock: trio.testing.MockClock) -> None:
    """To its parent where it has one, else to all; and it is no more in the registry."""

    class Fails(Worker):
        async def main(self) -> None:
            raise KeyError("x")

    for parent, message in (
        (None, BusWorkerErrorMessage(source="w", error="KeyError: 'x'")),
        ("p", BusWorkerLocalErrorMessage(source="w", target="p", error="KeyError: 'x'")),
    ):
        bus, registry = LocalBus(), WorkerRegistry("r")
        reader = bus.subscribe("reader", accepts=lambda message: not isinstance(message, BusWorkerReadyMessage))
        with pytest.raises(KeyError):
            await Fails("w", parent=parent).run(bus, registry=registry)
        assert await reader.receive() == message
        assert registry.local_workers == ()
        assert len(bus._fanout.subscriptions) == 1


# The runner.


async def test_a_runner_says_what_it_is_doing(autojump_clock: trio.testing.MockClock) -> None:
    runner = WorkerRunner("r")
    assert repr(runner) == "<WorkerRunner 'r', not running, 0 workers>"
    assert [runner.is_ending] == [False]
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Notes("a", ends_after_s=1.0), Notes("b"))
        assert repr(runner) == "<WorkerRunner 'r', running, 2 workers>"
        ending = list[float]()

        async def wait_ending() -> None:
            await runner.wait_ending()
            ending.append(trio.current_time())

        nursery.start_soon(wait_ending)
        await trio.sleep(1)
        assert ending == []
        runner.end()
        assert [runner.is_ending] == [True]
        await trio.sleep(0.5)
        assert ending == [trio.current_time() - 0.5]
        assert repr(runner) == "<WorkerRunner 'r', ending, 1 workers>"
        with pytest.raises(LocalProtocolError, match="takes workers only while it runs"):
            await runner.add_worker(Notes("c"))
    assert repr(runner) == "<WorkerRunner 'r', not running, 0 workers>"
    with pytest.raises(LocalProtocolError, match="runs once: make another one"):
        await runner.run(Notes("a"))


def test_runners_without_a_name_are_told_apart() -> None:
    names = {WorkerRunner().name for _ in range(3)}
    assert len(names) == 3
    assert {name[:7] for name in names} == {"runner-"}
    assert WorkerRunner("").name == ""


async def test_the_first_reason_of_an_end_counts_and_the_first_of_a_cancellation(
    autojump_clock: trio.testing.MockClock,
) -> None:
    for reasons, told in ((("one", "two"), "one"), ((None, "two"), None)):
        runner, worker = WorkerRunner("r"), Notes()
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run, worker)
            for reason in reasons:
                runner.end(reason)
        assert worker.ends == [told]


async def test_a_runner_that_was_told_to_end_before_it_runs_does_not_begin(
    autojump_clock: trio.testing.MockClock,
) -> None:
    for how in (WorkerRunner.end, WorkerRunner.cancel):
        runner = WorkerRunner("r")
        how(runner)
        with pytest.raises(LocalProtocolError, match="runs once"):
            await runner.run(Notes())


async def test_a_runner_that_is_cancelled_takes_nobody_while_its_workers_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Who came then would outlive it."""

    class Lingers(Worker):
        async def main(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)

    runner, outside = WorkerRunner("r"), trio.CancelScope()

    async def run(task_status: trio.TaskStatus[None]) -> None:
        with outside:
            await runner.run(Lingers("w"), task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        outside.cancel()
        await trio.sleep(0.5)
        assert [worker.name for worker in runner.workers] == ["w"]
        assert runner.is_ending
        for late in (runner.run_worker, runner.add_worker):
            with pytest.raises(LocalProtocolError, match="takes workers only while it runs"):
                await late(Notes("late"))


async def test_a_runner_without_workers_waits_for_some_unless_told_otherwise(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """With ``auto_end`` it ends after the last of those that came; without it, never by itself."""
    for auto_end in (True, False):
        runner = WorkerRunner("r")
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: runner.run(auto_end=auto_end, task_status=task_status))  # noqa: B023
            await trio.sleep(10)
            assert not runner.is_ending
            worker = Notes()
            await runner.add_worker(worker)
            worker.stop()
            await trio.testing.wait_all_tasks_blocked()
            assert runner.is_ending is auto_end
            runner.end()


@pytest.mark.parametrize("heartbeat", [0, -1.0])
def test_a_heartbeat_is_above_zero(heartbeat: float) -> None:
    with pytest.raises(ValueError, match="heartbeat"):
        WorkerRunner("r", heartbeat=heartbeat)


async def test_what_a_runner_hears(autojump_clock: trio.testing.MockClock) -> None:
    """News from anybody but itself, whomever it is addressed to; an end and a cancel for it or for all, and no data."""
    runner = WorkerRunner("r")
    news = {"runner": "far", "workers": ()}
    for message, hears in (
        (BusWorkerRegistryMessage(source="far", target="other", **news), True),  # type: ignore[arg-type]
        (BusWorkerReadyMessage(source="far", target="other", runner="far"), True),
        (BusWorkerRegistryMessage(source="r", **news), False),  # type: ignore[arg-type]
        *((kind(source="a", target=target), target != "w") for kind in ENDS for target in (None, "r", "w")),
        (BusEndMessage(source="r"), False),
        (BusDataMessage(source="a", target="r"), False),
    ):
        assert runner._hears(message) is hears, message


ENDS = (BusEndMessage, BusCancelMessage)


async def test_a_runner_and_its_workers_end_with_their_bus(autojump_clock: trio.testing.MockClock) -> None:
    """They are cancelled, for there is nobody left to say goodbye to."""
    bus, worker = LocalBus(), Notes(ends_after_s=100.0)
    runner = WorkerRunner("r", bus=bus)
    async with trio.open_nursery() as nursery:
        async with bus.running():
            await nursery.start(lambda task_status: runner.run(worker, auto_end=False, task_status=task_status))
        await trio.testing.wait_all_tasks_blocked()
        assert runner.is_ending
    assert (runner.workers, worker.ends) == ((), [])


async def test_runners_introduce_themselves_to_each_other_once(autojump_clock: trio.testing.MockClock) -> None:
    """A runner answers one that it did not know with all of its own; and it tells of each root worker that begins."""
    runner = WorkerRunner("r")
    told = list[list[str]]()
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Notes("a"))
        await trio.testing.wait_all_tasks_blocked()
        reader = runner.bus.subscribe("reader", accepts=lambda message: isinstance(message, BusWorkerRegistryMessage))

        async def hear() -> None:
            async for message in reader:
                if isinstance(message, BusWorkerRegistryMessage) and message.source == "r":
                    assert (message.runner, message.alive_for_s) == ("r", None)
                    told.append([entry.name for entry in message.workers])

        nursery.start_soon(hear)
        for _ in range(2):
            await runner.bus.send(
                BusWorkerRegistryMessage(source="far", runner="far", workers=[WorkerRegistryEntry(name="x")])
            )
            await trio.testing.wait_all_tasks_blocked()
        assert told == [["a"]]
        await runner.add_worker(Notes("b"))
        await trio.testing.wait_all_tasks_blocked()
        assert told == [["a"], ["a", "b"]]
        child = Notes("c")
        child.parent = "a"
        await runner.add_worker(child)
        await trio.testing.wait_all_tasks_blocked()
        assert len(told) == 2
        runner.end()


async def test_a_parent_takes_its_children_with_it_and_no_others(autojump_clock: trio.testing.MockClock) -> None:
    runner, parent, other, child = WorkerRunner("r"), Notes("parent"), Notes("other"), Notes("child")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, parent, other)
        await parent.add_worker(child)
        await trio.testing.wait_all_tasks_blocked()
        assert set(runner.workers) == {parent, other, child}
        parent.stop()
        await trio.testing.wait_all_tasks_blocked()
        assert runner.workers == (other,)
        assert child.ends == []
        runner.end()


async def test_what_cannot_be_added_harms_nobody_of_that_name(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What is asked of the one that runs already goes on, also where two runners have one bus."""

    class Slow(Worker):
        @job("slow")
        async def slow(self, request: JobRequest) -> Payload:
            await trio.sleep(5)
            return {"done": True}

    bus = LocalBus()
    first, second = WorkerRunner("first", bus=bus), WorkerRunner("second", bus=bus)
    parent, asking, child = Worker("parent"), Worker("asking"), Slow("slow")
    async with bus.running(), trio.open_nursery() as nursery:
        await nursery.start(first.run, parent, asking)
        await nursery.start(second.run, Worker("other"))
        await parent.add_worker(child)
        for _ in range(2):

            async def add_another() -> None:
                await trio.sleep(1)
                await parent.add_worker(Worker("slow"))

            nursery.start_soon(add_another)
            assert await asking.job("slow", "slow", timeout=50) == {"done": True}
        assert child in first.workers
        assert child not in second.workers
        for runner in (first, second):
            runner.cancel()
    assert {record.getMessage() for record in caplog.records if record.levelname == "ERROR"} == {
        "runner first: worker slow did not start"
    }


async def test_a_child_does_not_outlive_a_parent_that_ends_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Whether it has begun by then, begins just now, or has still to begin."""
    for steps in range(12):
        runner, parent = WorkerRunner("r"), Notes("parent")
        children = [Notes(f"child {number}") for number in range(3)]
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run, parent, Notes("other"))
            for child in children:
                await parent.add_worker(child)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            parent.stop()
            await trio.testing.wait_all_tasks_blocked()
            assert [worker.name for worker in runner.workers] == ["other"]
            began_s = trio.current_time()
            runner.end()
        assert trio.current_time() - began_s < 1


async def test_what_cannot_be_added_is_told_to_who_wanted_it(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The runner goes on; the log has the traceback."""
    runner, parent = WorkerRunner("r"), Notes("parent")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, parent)
        for _ in range(2):
            await parent.add_worker(Notes("parent"))
            await trio.testing.wait_all_tasks_blocked()
        errors = [message for message in parent.heard if isinstance(message, BusWorkerLocalErrorMessage)]
        assert [(error.source, error.target) for error in errors] == [("r", "parent")] * 2
        assert errors[0].error.startswith("LocalProtocolError: a worker named 'parent' already runs here")
        assert not runner.is_ending
        runner.end()
    assert {record.getMessage() for record in caplog.records} == {"runner r: worker parent did not start"}
