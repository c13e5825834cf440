"""Workers and the runner: their life on a local bus."""

import logging

import pytest
import trio
import trio.testing

from trio_transports.bus import (
    BusActivateWorkerMessage,
    BusCancelMessage,
    BusCancelWorkerMessage,
    BusDataMessage,
    BusDeactivateWorkerMessage,
    BusEndMessage,
    BusEndWorkerMessage,
    BusMessage,
    BusSubscription,
    BusTTSSpeakMessage,
    BusWorkerErrorMessage,
    BusWorkerLocalErrorMessage,
    BusWorkerReadyMessage,
    BusWorkerRegistryMessage,
    LocalBus,
    Payload,
    Worker,
    WorkerReadyData,
    WorkerRegistry,
    WorkerRegistryEntry,
    WorkerRunner,
)
from trio_transports.bus.registry import MAX_REMOTE
from trio_transports.errors import LocalProtocolError


class Recorder(Worker):
    """Writes down what happens to it."""

    def __init__(self, name: str, *, active: bool = True, parent: str | None = None) -> None:
        super().__init__(name, active=active, parent=parent)
        self.log: list[object] = []
        self.messages: list[BusMessage] = []

    async def on_bus_message(self, message: BusMessage) -> None:
        self.messages.append(message)

    async def on_worker_ready(self, data: WorkerReadyData) -> None:
        self.log.append(("ready", data.worker_name, data.runner))

    async def on_activated(self, args: Payload | None) -> None:
        self.log.append(("activated", args))

    async def on_deactivated(self) -> None:
        self.log.append("deactivated")

    async def on_end(self, reason: str | None) -> None:
        self.log.append(("end", reason))


class Crashing(Worker):
    def accepts(self, message: BusMessage) -> bool:
        return isinstance(message, BusDataMessage) and message.source == "x"

    async def on_bus_message(self, message: BusMessage) -> None:
        raise ZeroDivisionError(f"on {message.source}")


async def read_until(subscription: BusSubscription, kind: type[BusMessage]) -> BusMessage:
    with trio.fail_after(10):
        async for message in subscription:
            if isinstance(message, kind):
                return message
    raise AssertionError(f"no {kind.__name__} came")


async def test_a_worker_announces_itself_and_takes_what_is_for_it(autojump_clock: trio.testing.MockClock) -> None:
    """A worker says it is ready, then takes what is addressed to it or to nobody, and neither its own nor others'."""
    bus = LocalBus()
    watcher = bus.subscribe("watcher")
    worker = Recorder("w")
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, bus)
        ready = await read_until(watcher, BusWorkerReadyMessage)
        assert isinstance(ready, BusWorkerReadyMessage)
        assert (ready.source, ready.active, ready.parent) == ("w", True, None)
        for message in (
            BusDataMessage(source="a", target="w"),
            BusDataMessage(source="b"),
            BusDataMessage(source="a", target="other"),
            BusDataMessage(source="w"),
            BusDataMessage(source="w", target="w"),
        ):
            await bus.send(message)
        await trio.testing.wait_all_tasks_blocked()
        assert [(m.source, m.target) for m in worker.messages] == [("a", "w"), ("b", None), ("w", "w")]
        assert worker.log == [("activated", None)]
        await bus.send(BusEndWorkerMessage(source="a", target="w", reason="done"))
    assert worker.log[-1] == ("end", "done")


async def test_a_worker_is_valid_again_after_its_run(autojump_clock: trio.testing.MockClock) -> None:
    """Outside ``run`` the bus and the verbs of a worker raise an error that says so; it may be run again."""
    worker = Recorder("w")
    with pytest.raises(LocalProtocolError, match="only while it runs"):
        await worker.send(BusDataMessage(source="w"))
    for _ in range(2):
        bus = LocalBus()
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.run, bus)
            assert worker.bus is bus
            with pytest.raises(LocalProtocolError, match="already runs"):
                await worker.run(bus)
            worker.stop()
    with pytest.raises(LocalProtocolError, match="only while it runs"):
        worker.watch("x")


async def test_an_inactive_worker_takes_only_its_own_life(autojump_clock: trio.testing.MockClock) -> None:
    """Between deactivation and activation messages pass a worker by, three times; it still can be woken and ended."""
    bus = LocalBus()
    worker = Recorder("w", active=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, bus)
        states = list[bool]()
        for turn in range(3):
            await bus.send(BusDataMessage(source="lost", target="w"))
            await bus.send(BusActivateWorkerMessage(source="a", target="other"))
            await trio.testing.wait_all_tasks_blocked()
            states.append(worker.active)
            await bus.send(BusActivateWorkerMessage(source="a", target="w", args={"k": turn}))
            await trio.testing.wait_all_tasks_blocked()
            states.append(worker.active)
            await bus.send(BusDataMessage(source=f"taken {turn}", target="w"))
            await bus.send(BusDeactivateWorkerMessage(source="a", target="w"))
            await trio.testing.wait_all_tasks_blocked()
        states.append(worker.active)
        await bus.send(BusDataMessage(source="lost", target="w"))
        await bus.send(BusEndWorkerMessage(source="a", target="w"))
    assert [m.source for m in worker.messages] == ["taken 0", "taken 1", "taken 2"]
    assert states == [False, True, False, True, False, True, False]
    woken = [each for turn in range(3) for each in (("activated", {"k": turn}), "deactivated")]
    assert worker.log == [*woken, ("end", None)]


async def test_an_end_waits_for_what_came_before_and_a_cancel_does_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """An end is handled in order with the data, a cancel overtakes even the handler that runs."""

    class Slow(Recorder):
        async def on_bus_message(self, message: BusMessage) -> None:
            await trio.sleep(1)
            await super().on_bus_message(message)

    for kind, handled, took_s in ((BusEndWorkerMessage, 3, 3.0), (BusCancelWorkerMessage, 0, 0.0)):
        bus = LocalBus()
        worker = Slow("w")
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.run, bus)
            for _ in range(3):
                await bus.send(BusDataMessage(source="a", target="w"))
            await bus.send(kind(source="a", target="w"))
        assert len(worker.messages) == handled
        assert trio.current_time() - began == pytest.approx(took_s)


async def test_a_good_end_has_a_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """An ``on_end`` that never returns is cancelled after ``end_timeout``."""

    class Stuck(Worker):
        async def on_end(self, reason: str | None) -> None:
            await trio.sleep_forever()

    bus = LocalBus()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        worker = Stuck("w")
        await nursery.start(lambda task_status: worker.run(bus, end_timeout=3, task_status=task_status))
        await bus.send(BusEndWorkerMessage(source="a", target="w"))
    assert trio.current_time() - began == pytest.approx(3)


async def test_cancelling_the_caller_ends_a_worker_whole(autojump_clock: trio.testing.MockClock) -> None:
    """A worker cancelled from outside leaves the registry and the bus, and no task behind."""
    bus = LocalBus()
    registry = WorkerRegistry("r")
    worker = Recorder("w")
    with trio.move_on_after(1):
        await worker.run(bus, registry=registry)
    assert registry.local_workers == ()
    assert repr(bus) == "<LocalBus with 0 subscribers>"


async def test_a_crash_ends_one_worker_and_is_told(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that raises is logged once with its traceback and told on the bus; the others go on."""
    runner = WorkerRunner("r")
    watcher = runner.bus.subscribe("watcher")
    good, bad = Recorder("good"), Crashing("bad")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, bad, good)
        await runner.bus.send(BusDataMessage(source="x"))
        error = await read_until(watcher, BusWorkerErrorMessage)
        assert isinstance(error, BusWorkerErrorMessage)
        assert (error.source, error.error) == ("bad", "ZeroDivisionError: on x")
        await runner.bus.send(BusDataMessage(source="x", target="good"))
        await trio.testing.wait_all_tasks_blocked()
        assert [m.source for m in good.messages if isinstance(m, BusDataMessage)] == ["x", "x"]
        assert runner.workers == (good,)
        runner.end()
    assert [r.message for r in caplog.records] == ["runner r: worker bad failed and has ended"]
    assert caplog.records[0].exc_info is not None


async def test_run_worker_raises_what_its_worker_raises(autojump_clock: trio.testing.MockClock) -> None:
    """``run_worker`` raises the worker's own exception, not a group, in the task that called it."""
    runner = WorkerRunner("r")
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: runner.run(auto_end=False, task_status=task_status))

        async def feed() -> None:
            await runner.bus.send(BusDataMessage(source="x", target="bad"))

        async with trio.open_nursery() as feeding:
            feeding.start_soon(feed)
            with pytest.raises(ZeroDivisionError):
                await runner.run_worker(Crashing("bad"))
        runner.end()


async def test_the_runner_ends_with_its_last_root_worker(autojump_clock: trio.testing.MockClock) -> None:
    """With ``auto_end`` the runner ends when no root worker is left, and takes the children with it."""

    class Parent(Recorder):
        async def main(self) -> None:
            await self.add_worker(child)
            await trio.sleep(1)

    child = Recorder("child")
    runner = WorkerRunner("r")
    with trio.fail_after(2):
        await runner.run(Parent("parent"))
    assert child.parent == "parent"
    assert child.log == [("activated", None)]
    assert runner.workers == ()


@pytest.mark.parametrize("message", [BusEndMessage, BusCancelMessage])
@pytest.mark.parametrize("target", [None, "r"])
async def test_a_message_to_the_runner_shuts_all_down(
    message: type[BusEndMessage | BusCancelMessage], target: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    """An end or cancel message addressed to nobody or to the runner ends every worker it owns."""
    runner = WorkerRunner("r")
    workers = [Recorder(f"w{n}") for n in range(3)]
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run, *workers)
            await runner.bus.send(message(source="w0", target=target, reason="enough"))
    ended = [("end", "enough") in worker.log for worker in workers]
    assert ended == [message is BusEndMessage] * 3


async def test_a_message_to_a_worker_does_not_end_the_runner(autojump_clock: trio.testing.MockClock) -> None:
    """What a proxy lets through is addressed to one worker, and an end of everything is not heard from there."""
    runner = WorkerRunner("r")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Recorder("w"))
        await runner.bus.send(BusEndMessage(source="remote", target="w"))
        await runner.bus.send(BusCancelMessage(source="remote", target="w"))
        await trio.testing.wait_all_tasks_blocked()
        assert [worker.name for worker in runner.workers] == ["w"]
        runner.end()


async def test_a_stubborn_worker_is_cancelled_after_the_grace(autojump_clock: trio.testing.MockClock) -> None:
    """An end waits ``end_timeout`` for a worker that is busy; ``cancel`` cuts even that short."""

    class Busy(Worker):
        async def on_bus_message(self, message: BusMessage) -> None:
            await trio.sleep_forever()

    for cancel_after, took_s in ((None, 4.0), (1.0, 1.0)):
        runner = WorkerRunner("r", end_timeout=4)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run, Busy("w"))
            await runner.bus.send(BusDataMessage(source="x", target="w"))
            runner.end()
            runner.end()
            if cancel_after is not None:
                await trio.sleep(cancel_after)
                runner.cancel()
        assert trio.current_time() - began == pytest.approx(took_s)


async def test_workers_in_other_tasks_end_with_the_runner(autojump_clock: trio.testing.MockClock) -> None:
    """``run_worker`` in an endpoint's own task returns when the runner ends, also when it is cancelled from outside."""
    for how in ("end", "cancel", "outside"):
        runner = WorkerRunner("r")
        returned: list[str] = []
        outside = trio.CancelScope()

        async def endpoint(runner: WorkerRunner = runner, returned: list[str] = returned) -> None:
            await runner.run_worker(Recorder("w"))
            returned.append("w")

        async def serve(
            runner: WorkerRunner = runner,
            outside: trio.CancelScope = outside,
            *,
            task_status: trio.TaskStatus[None],
        ) -> None:
            with outside:
                await runner.run(auto_end=False, task_status=task_status)

        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            nursery.start_soon(endpoint)
            await trio.testing.wait_all_tasks_blocked()
            if how == "outside":
                outside.cancel()
            elif how == "end":
                runner.end()
            else:
                runner.cancel()
        assert returned == ["w"]


async def test_names_are_unique_in_a_runner(autojump_clock: trio.testing.MockClock) -> None:
    """A second worker of the same name is refused, to whoever adds it; the first goes on."""
    runner = WorkerRunner("r")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Recorder("w"))
        with pytest.raises(LocalProtocolError, match="already runs here"):
            await runner.add_worker(Recorder("w"))
        with pytest.raises(LocalProtocolError, match="already runs here"):
            await runner.run_worker(Recorder("w"))
        assert len(runner.workers) == 1
        runner.end()
    with pytest.raises(LocalProtocolError, match="only while it runs"):
        await runner.add_worker(Recorder("x"))
    with pytest.raises(LocalProtocolError, match="already runs here"):
        await WorkerRunner("s").run(Recorder("w"), Recorder("w"))


async def test_a_child_that_fails_is_told_to_its_parent(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure of a child stays in the process and reaches its parent; it is not told to the others."""
    caplog.set_level(logging.CRITICAL)

    class Parent(Recorder):
        async def on_activated(self, args: Payload | None) -> None:
            await self.add_worker(Crashing("child"))

    runner = WorkerRunner("r")
    parent = Parent("parent")
    other = Recorder("other")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, parent, other)
        await trio.testing.wait_all_tasks_blocked()
        await runner.bus.send(BusDataMessage(source="x", target="child"))
        await trio.testing.wait_all_tasks_blocked()
        runner.end()
    errors = [m for m in parent.messages if isinstance(m, BusWorkerLocalErrorMessage)]
    assert [(e.source, e.error) for e in errors] == [("child", "ZeroDivisionError: on x")]
    assert not [m for m in other.messages if isinstance(m, BusWorkerLocalErrorMessage | BusWorkerErrorMessage)]


async def test_watching_tells_at_once_and_again_after_a_restart(autojump_clock: trio.testing.MockClock) -> None:
    """A watcher hears of a worker that is ready already, of one that becomes ready later, and of a restart."""
    runner = WorkerRunner("r")
    watching, watched = Recorder("watching"), Recorder("watched")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, watching)
        watching.watch("watched", "later")
        await runner.add_worker(watched)
        watched.stop()
        await trio.testing.wait_all_tasks_blocked()
        await runner.add_worker(Recorder("watched"))
        await runner.add_worker(Recorder("later"))
        watching.watch("later")
        await trio.testing.wait_all_tasks_blocked()
        runner.end()
    assert watching.log[1:4] == [("ready", "watched", "r"), ("ready", "watched", "r"), ("ready", "later", "r")]


async def test_runners_on_one_bus_learn_each_others_workers(autojump_clock: trio.testing.MockClock) -> None:
    """Each of two runners on one bus knows the other's workers, whichever came first."""
    bus = LocalBus()
    first, second = WorkerRunner("first", bus=bus), WorkerRunner("second", bus=bus)
    async with bus.running(), trio.open_nursery() as nursery:
        await nursery.start(first.run, Recorder("a"))
        await trio.testing.wait_all_tasks_blocked()
        await nursery.start(second.run, Recorder("b"))
        await trio.testing.wait_all_tasks_blocked()
        found = first.registry.find("b"), second.registry.find("a")
        assert [data and data.runner for data in found] == ["second", "first"]
        first.cancel()
        second.cancel()


async def test_nobody_else_makes_a_runner_speak(autojump_clock: trio.testing.MockClock) -> None:
    """A claim to be ready on a runner, by a worker that it does not run, is not answered with its registry."""
    runner = WorkerRunner("r")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Recorder("w"))
        await trio.testing.wait_all_tasks_blocked()
        reader = runner.bus.subscribe("reader")
        await runner.bus.send(BusWorkerReadyMessage(source="stranger", target="w", runner="r"))
        await trio.testing.wait_all_tasks_blocked()
        assert reader.statistics().waiting_system == 0
        runner.end()


def test_the_registry_is_bounded_and_speaks_for_itself_only() -> None:
    """A peer cannot fill the registry without limit, nor register a worker in this runner's name."""
    registry = WorkerRegistry("r")
    entries = [WorkerRegistryEntry(name=f"w{n}") for n in range(MAX_REMOTE + 5)]
    assert registry._learn(BusWorkerRegistryMessage(source="x", runner="far", workers=entries))
    assert len(registry.remote_workers) == MAX_REMOTE
    assert not registry._learn(BusWorkerRegistryMessage(source="x", runner="r", workers=entries[:2]))
    assert registry.refused == 5 + 2
    assert registry.local_workers == ()


async def test_an_active_worker_can_be_asked_to_speak(autojump_clock: trio.testing.MockClock) -> None:
    """A message of the family that the worker's life does not use reaches ``on_bus_message`` as it was sent."""
    runner = WorkerRunner("r")
    worker = Recorder("w")
    message = BusTTSSpeakMessage(source="x", target="w", text="hello")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, worker)
        await runner.bus.send(message)
        await trio.testing.wait_all_tasks_blocked()
        runner.end()
    assert message in worker.messages
