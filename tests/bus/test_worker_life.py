"""A worker's life: what it is shown, how it ends with its bus, and that nothing of it stays behind."""

import pytest
import trio
import trio.testing

from trio_transports.bus import (
    BusCancelMessage,
    BusDataMessage,
    BusMessage,
    BusWorkerErrorMessage,
    BusWorkerLocalErrorMessage,
    LocalBus,
    Worker,
    WorkerRegistry,
    WorkerRegistryEntry,
    WorkerRunner,
)
from trio_transports.bus.bus import GOODBYE_S
from trio_transports.bus.messages import BusWorkerLostMessage


class Taps(Worker):
    """Takes at once whatever there is."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.taken: list[BusMessage] = []

    def tap(self, message: BusMessage) -> bool:
        self.taken.append(message)
        return True


class Hears(Worker):
    """Handles whatever there is, and is stuck with the first of it if it is told to."""

    def __init__(self, name: str, *, is_stuck: bool = False) -> None:
        super().__init__(name)
        self.heard: list[BusMessage] = []
        self._is_stuck = is_stuck

    def accepts(self, message: BusMessage) -> bool:
        return message.source != self.name

    async def on_bus_message(self, message: BusMessage) -> None:
        self.heard.append(message)
        if self._is_stuck:
            await trio.sleep_forever()


def test_what_is_for_others_is_shown_to_those_that_ask_for_it() -> None:
    """By an ``accepts`` or a ``tap`` of their own. What is for all, or ends a job, is shown to everybody."""
    for worker, is_shown in ((Worker("w"), False), (Taps("w"), True), (Hears("w"), True)):
        assert worker._concerns(BusDataMessage, "other") is is_shown
        for kind, target in (
            (BusDataMessage, "w"),
            (BusDataMessage, None),
            (BusWorkerErrorMessage, "other"),
            (BusWorkerLocalErrorMessage, "other"),
        ):
            assert worker._concerns(kind, target) is True


async def test_a_worker_with_a_tap_takes_what_is_for_others(autojump_clock: trio.testing.MockClock) -> None:
    bus, worker = LocalBus(), Taps("w")
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, bus)
        worker.taken.clear()
        message = BusDataMessage(source="a", target="other")
        for _ in range(2):
            await bus.send(message)
        assert worker.taken == [message] * 2
        worker.stop()


async def test_the_loss_of_a_connection_is_no_message_to_handle(autojump_clock: trio.testing.MockClock) -> None:
    """Neither one's own, nor that of another."""
    bus, worker = LocalBus(), Hears("w")
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, bus)
        for local in ("w", "other"):
            await bus.send(BusWorkerLostMessage(source="a", local=local))
        await trio.testing.wait_all_tasks_blocked()
        assert worker.heard == []
        worker.stop()


@pytest.mark.parametrize("message", [BusDataMessage(source="a", target="w"), BusCancelMessage(source="a", target="w")])
async def test_a_worker_that_is_busy_ends_with_its_bus(
    message: BusMessage, autojump_clock: trio.testing.MockClock
) -> None:
    """Whether it is a handler of data or one of system messages that does not come back."""
    bus, worker = LocalBus(), Hears("w", is_stuck=True)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery, bus.running():
            await nursery.start(worker.run, bus)
            await bus.send(message)
            await trio.testing.wait_all_tasks_blocked()
            assert worker.heard == [message]


async def test_a_worker_that_has_ended_is_told_nothing_more(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody keeps it for workers that come or go later; and so a second time."""
    registry = WorkerRegistry("r")
    for _ in range(2):
        worker = Worker("w")
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: worker.run(LocalBus(), registry=registry, task_status=task_status))  # noqa: B023
            worker.watch("later")
            assert len(registry._gone_watchers) == len(registry._watchers) == 1
            worker.stop()
        assert (registry._gone_watchers, registry._watchers) == ([], {})
    registry._add_local(WorkerRegistryEntry(name="later"))
    registry._remove_local("later")


class Falls(Worker):
    """Its cleanup fails."""

    async def main(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in its cleanup")


class DeadBus(LocalBus):  # type: ignore[misc]  # final for users; here it fails on purpose
    """A bus that takes no word of a failure: it fails itself, or is stuck."""

    def __init__(self, *, is_stuck: bool) -> None:
        super().__init__()
        self._is_stuck = is_stuck

    async def send(self, message: BusMessage) -> None:
        if isinstance(message, BusWorkerErrorMessage):
            if self._is_stuck:
                await trio.sleep_forever()
            raise OSError("the bus is gone")
        await super().send(message)


async def test_a_worker_that_fails_while_it_is_cancelled_says_so(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """On the bus and in the log, whoever cancels it."""
    for from_outside in (False, True):
        bus = LocalBus()
        hears = bus.subscribe("hears", accepts=lambda message: isinstance(message, BusWorkerErrorMessage))
        runner = WorkerRunner(bus=bus)
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run, Falls("w"))
            if from_outside:
                nursery.cancel_scope.cancel()
            else:
                runner.cancel()
        assert await hears.receive() == BusWorkerErrorMessage(source="w", error="ValueError: in its cleanup")
    told = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.exc_info and record.exc_info[0] for record in told] == [ValueError, ValueError]


@pytest.mark.parametrize("is_stuck", [False, True])
async def test_a_failure_that_cannot_be_told_is_raised_all_the_same(
    is_stuck: bool, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What kept it from being told is in the log; where the bus is stuck it takes a second, cancelled or not."""
    began_s = trio.current_time()

    async def fails() -> None:
        with pytest.raises(ValueError, match="in its cleanup"):
            await Falls("w").run(DeadBus(is_stuck=is_stuck))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began_s == (GOODBYE_S if is_stuck else 0)
    why = f"not taken within {GOODBYE_S:g} s" if is_stuck else "OSError: the bus is gone"
    assert [record.getMessage() for record in caplog.records] == [f"worker w failed, and the bus was not told: {why}"]
