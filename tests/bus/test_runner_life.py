"""A runner's life: what it asks of its bus, who comes while it begins or ends, and what it leaves behind."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import NoReturn, Unpack

import pytest
import trio
import trio.testing

from tests.bus.proxies import server, wire_pair
from trio_transports.bus import (
    BusCancelMessage,
    BusEndWorkerMessage,
    BusMessage,
    BusSubscription,
    BusWorkerReadyMessage,
    LocalBus,
    Worker,
    WorkerRunner,
    serve_proxies,
)
from trio_transports.bus.subscription import SubscribeOptions
from trio_transports.errors import LocalProtocolError


class Noting(LocalBus):  # type: ignore[misc]  # final for users; here it notes what is asked of it
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[object] = []

    @asynccontextmanager
    async def running(self, *, hold: bool = False) -> AsyncIterator["LocalBus"]:
        self.asked.append(("runs", hold))
        async with super().running(hold=hold):
            yield self
        self.asked.append("has run")

    def release(self) -> None:
        self.asked.append("release")

    def subscribe(self, name: str, **options: Unpack[SubscribeOptions]) -> BusSubscription:
        self.asked.append(name)
        return super().subscribe(name, **options)


async def test_a_runner_holds_its_bus_until_its_workers_listen(autojump_clock: trio.testing.MockClock) -> None:
    """What others have sent meanwhile is then for them; the bus ends with the runner."""
    bus = Noting()
    runner = WorkerRunner("r", bus=bus)
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Worker("a"), Worker("b"))
        assert bus.asked == ["r", ("runs", True), "a", "b", "release"]
        assert bus.is_running
        runner.end()
    assert bus.asked[5:] == ["has run"]
    assert not bus.is_running


async def test_a_bus_that_runs_goes_on_without_the_runner(autojump_clock: trio.testing.MockClock) -> None:
    """It is not run twice, and nobody of the runner's is left on it."""
    bus = Noting()
    async with bus.running():
        for _ in range(2):
            runner = WorkerRunner("r", bus=bus)
            async with trio.open_nursery() as nursery:
                await nursery.start(runner.run, Worker("a"))
                assert len(bus._fanout.subscriptions) == 2
                runner.end()
            assert bus.is_running
            assert len(bus._fanout.subscriptions) == 0
    assert [asked for asked in bus.asked if isinstance(asked, tuple)] == [("runs", False)]


async def test_a_runner_whose_bus_cannot_be_run_is_over(autojump_clock: trio.testing.MockClock) -> None:
    """Why is raised; it takes nobody, and is not run again."""

    class Broken(LocalBus):  # type: ignore[misc]  # final for users; here it fails on purpose
        def running(self, *, hold: bool = False) -> NoReturn:
            raise ConnectionRefusedError

    runner = WorkerRunner("r", bus=Broken())
    with pytest.raises(ConnectionRefusedError):
        await runner.run(Worker("a"))
    assert runner.is_ending
    with pytest.raises(LocalProtocolError, match="runs once"):
        await runner.run(Worker("a"))


async def test_workers_that_end_while_the_runner_begins_end_it(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody is left then to end it later; without ``auto_end`` it waits for others all the same."""

    class Brief(Worker):
        async def run(self, *_: object, task_status: trio.TaskStatus[None], **__: object) -> None:  # type: ignore[override]
            task_status.started()

    with trio.fail_after(10):
        await WorkerRunner("r").run(Brief("a"), Brief("b"))
    with trio.move_on_after(10) as limit:
        await WorkerRunner("r").run(Brief("a"), auto_end=False)
    assert limit.cancelled_caught


async def test_a_runner_that_does_not_run_takes_nobody(autojump_clock: trio.testing.MockClock) -> None:
    """Neither in its own task nor in the caller's."""
    runner = WorkerRunner("r")
    for take in (runner.add_worker, runner.run_worker):
        with pytest.raises(LocalProtocolError, match="takes workers only while it runs"):
            await take(Worker("w"))
    assert runner.workers == ()


async def test_who_waits_for_a_worker_to_begin_is_told_that_the_runner_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The one whose worker was about to begin, and those that had to wait for their turn."""

    class Stuck(LocalBus):  # type: ignore[misc]  # final for users; here it fails on purpose
        async def send(self, message: BusMessage) -> None:
            if isinstance(message, BusWorkerReadyMessage) and message.source == "slow":
                await trio.sleep_forever()
            await super().send(message)

    runner, told = WorkerRunner("r", bus=Stuck()), dict[str, str]()

    async def add(name: str) -> None:
        with pytest.raises((LocalProtocolError, RuntimeError)) as info:
            await runner.add_worker(Worker(name))
        told[name] = type(info.value).__name__

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(runner.run, auto_end=False))
            for name in ("slow", "second", "third"):
                nursery.start_soon(add, name)
                await trio.testing.wait_all_tasks_blocked()
            assert told == {}
            runner.cancel()
    assert told.keys() == {"slow", "second", "third"}
    assert told["second"] == told["third"] == "LocalProtocolError"


async def test_why_the_workers_are_cancelled_is_in_the_log(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, on one line and cut to what is readable, whoever says it; they are told nothing."""
    caplog.set_level(logging.INFO, "trio_transports.bus.runner")
    for reason, shown in (
        (None, "no reason was given"),
        ("", ""),
        ("enough\nand more", "enough\\nand more"),
        ("x" * 1000, "x" * 100),
    ):
        for sent in (False, True):
            caplog.clear()
            runner = WorkerRunner("r")
            ends = runner.bus.subscribe("ends", accepts=lambda message: isinstance(message, BusEndWorkerMessage))
            async with trio.open_nursery() as nursery:
                await nursery.start(runner.run, Worker("w"))
                if sent:
                    await runner.bus.send(BusCancelMessage(source="w", reason=reason))
                else:
                    runner.cancel(reason)
                    runner.cancel("again")
            assert [record.getMessage() for record in caplog.records] == [
                f"runner r: its workers are cancelled: {shown}"
            ]
            assert ends.statistics().waiting_data == 0


@pytest.mark.parametrize(
    ("what", "call", "ways_out"),
    [
        ("WorkerRunner", lambda: WorkerRunner("r").run(), "a program"),
        ("Worker", lambda: WorkerRunner("r").run_worker(Worker("w")), "a program"),
        ("Worker", lambda: Worker("w").run(LocalBus()), "a program"),
        ("WebSocketProxyServer", lambda: WorkerRunner("r").run_worker(server(wire_pair()[0])), "an ASGI app"),
        ("WebSocketProxyServer", lambda: server(wire_pair()[0]).run(LocalBus()), "an ASGI app"),
        ("serve_proxies", lambda: serve_proxies(WorkerRunner("r"), server), "a program"),
    ],
)
def test_on_another_event_loop_each_says_what_to_do(
    what: str, call: Callable[[], Awaitable[None]], ways_out: str
) -> None:
    async def main() -> None:
        await call()

    with pytest.raises(LocalProtocolError, match=f"^{what} runs on trio, and this is asyncio.* For {ways_out}: "):
        asyncio.run(main())
