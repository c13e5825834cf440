"""What a bus keeps of messages that nobody has handled, when a worker, its runner, or the bus itself ends."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from trio_transports.bus import (
    BusCancelWorkerMessage,
    BusDataMessage,
    BusEndWorkerMessage,
    BusLocalMessage,
    BusMessage,
    LocalBus,
    Worker,
    WorkerRunner,
)
from trio_transports.bus.subscription import Fanout


class StoringBus(LocalBus):  # type: ignore[misc]  # final for users; here it keeps what a server would
    """It has a receipt for each message that could be stored, as ``RedisBus`` does with ``durable=True``."""

    def __init__(self) -> None:
        super().__init__()
        self.handled: list[BusMessage] = []

    async def send(self, message: BusMessage) -> None:
        if isinstance(message, BusLocalMessage):
            await super().send(message)
            return
        await trio.lowlevel.checkpoint()
        handled = self.handled

        class Receipt:
            def handled(self) -> None:
                handled.append(message)

        for reader in self._fanout.concerned(message):
            if reader.wants(message):
                await reader.put_with_receipt(message, Receipt())

    def _keep_for(self, who: object) -> None:
        self._fanout.keepers.add(who)

    def _keep_no_more(self, who: object) -> None:
        self._fanout.keepers.discard(who)

    @property
    def ids(self) -> list[int]:
        return [message.id for message in self.handled if type(message) is BusDataMessage]


class Handler(Worker):
    """Takes a second for each message, and for ever for number 2; number 3 is more than it can do."""

    done: list[int]

    async def on_bus_message(self, message: BusMessage) -> None:
        if type(message) is not BusDataMessage:
            return  # news of the runner's
        if message.id == 3:
            raise ZeroDivisionError
        await trio.sleep(float("inf") if message.id == 2 else 1)
        self.done.append(message.id)


def handler(name: str = "w") -> Handler:
    worker = Handler(name)
    worker.done = []
    return worker


def data(number: int, target: str = "w") -> BusDataMessage:
    return BusDataMessage(source="s", target=target, id=number)


async def ends_late(runner: WorkerRunner) -> None:
    runner.end()
    await trio.testing.wait_all_tasks_blocked()
    for number in (1, 1):
        await runner.bus.send(data(number))


async def is_cancelled(runner: WorkerRunner) -> None:
    runner.cancel()


async def fails(runner: WorkerRunner) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("ids", "how", "handled"),
    [
        ((0, 2, 4, 5), is_cancelled, [0]),
        ((0, 2, 4, 5), ends_late, [0]),  # past its end_timeout
        ((0, 1), ends_late, [0, 1]),  # what comes behind the end is not handled
        ((0, 3, 4, 5), fails, [0]),
    ],
)
async def test_what_a_worker_did_not_handle_is_for_its_next_life(
    ids: tuple[int, ...],
    how: Callable[[WorkerRunner], Awaitable[None]],
    handled: list[int],
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Whether it is cancelled, has no time left, is told to end, or fails: what it had in hand, and what waits."""
    bus, worker = StoringBus(), handler()
    runner = WorkerRunner(bus=bus)
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, worker)
        for number in ids:
            await bus.send(data(number))
        with trio.move_on_after(3):
            await trio.sleep(1.5)
            await how(runner)
    assert (worker.done, bus.ids) == (handled, handled)
    assert bus._fanout.keepers == set()


async def test_a_runner_that_is_cancelled_from_outside_keeps_too(autojump_clock: trio.testing.MockClock) -> None:
    bus, worker = StoringBus(), handler()
    async with trio.open_nursery() as nursery:
        await nursery.start(WorkerRunner(bus=bus).run, worker)
        for number in (0, 2, 4):
            await bus.send(data(number))
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel()
    assert (worker.done, bus.ids) == ([0], [0])


async def test_the_last_worker_that_returns_keeps_what_it_has(autojump_clock: trio.testing.MockClock) -> None:
    """The process ends with it. While another one goes on it does not, and nobody wants it any more."""
    bus, first, last = StoringBus(), handler("first"), handler("last")
    async with trio.open_nursery() as nursery:
        await nursery.start(WorkerRunner(bus=bus).run, first, last)
        for worker in (first, last):
            for number in (2, 4):
                await bus.send(data(number, worker.name))
        await trio.testing.wait_all_tasks_blocked()
        for worker in (first, last):
            worker.stop()
            await trio.testing.wait_all_tasks_blocked()
            assert bus.ids == [2, 4]


async def test_who_waits_for_room_with_a_worker_that_fails_is_let_go(autojump_clock: trio.testing.MockClock) -> None:
    """What it wanted to put is not handled either; but what was to end the worker is for nobody else."""
    bus, worker = StoringBus(), handler()
    async with trio.open_nursery() as nursery:
        await nursery.start(WorkerRunner(bus=bus).run, worker)
        worker._alive("test").subscription._data.size = 1
        end = BusEndWorkerMessage(source="s", target="w")
        for message in (data(0), data(3), data(4), end):
            nursery.start_soon(bus.send, message)
            await trio.testing.wait_all_tasks_blocked()
    assert (worker.done, bus.ids) == ([0], [0])
    assert end in bus.handled


@pytest.mark.parametrize("kind", [BusEndWorkerMessage, BusCancelWorkerMessage])
@pytest.mark.parametrize("ids", [(0,), (2,), (3,)])
async def test_what_ends_a_worker_does_not_end_its_next_life(
    kind: type[BusMessage], ids: tuple[int, ...], autojump_clock: trio.testing.MockClock
) -> None:
    """Whether it is heard, or waits behind what the worker is stuck with or fails at."""
    bus = StoringBus()
    runner = WorkerRunner(bus=bus)
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, handler())
        for number in ids:
            await bus.send(data(number))
        end = kind(source="s", target="w")
        await bus.send(end)
        await trio.sleep(2)
        runner.end()
    assert end in bus.handled


async def test_a_runner_ends_a_worker_whose_lane_is_full(autojump_clock: trio.testing.MockClock) -> None:
    """Of messages none of which may be lost: it is told behind them, and has its time to end."""

    class Ends(Handler):
        async def on_end(self, reason: str | None) -> None:
            self.done.append(-1)

    bus, worker = StoringBus(), Ends("w")
    worker.done = []
    runner = WorkerRunner(bus=bus)
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, worker)
        worker._alive("test").subscription._data.size = 2
        for _ in range(3):
            await bus.send(data(1))
            await trio.testing.wait_all_tasks_blocked()
        runner.end()
    assert worker.done == [1, 1, 1, -1]
    assert bus.ids == [1, 1, 1]


@pytest.mark.parametrize("keeps", [False, True])
async def test_who_closes_a_subscription_while_its_runner_ends_has_not_handled_it(keeps: bool) -> None:
    """A reader that is ended in the midst of it closes its subscription as one does that wants nothing more."""
    fanout = Fanout()
    subscription, handled = fanout.subscribe("s"), list[int]()

    class Receipt:
        def handled(self) -> None:
            handled.append(1)

    for number in range(3):
        await subscription.put_with_receipt(data(number), Receipt())
    await subscription.receive()
    if keeps:
        fanout.keepers.add("runner")
    subscription.close()
    await subscription.put_with_receipt(data(3), Receipt())
    assert len(handled) == (0 if keeps else 4)
    statistics = subscription.statistics()
    assert (statistics.waiting_data, statistics.waiting_bytes) == (0, 0)
