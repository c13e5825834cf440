"""Jobs whose worker, runner or connection is gone: whoever asked is told, and nobody goes on in vain."""

import pytest
import trio
import trio.testing

from tests.bus.doing import Doing, workers
from tests.bus.proxies import JSON, client, received, wire_pair
from trio_transports.bus import (
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusMessage,
    BusWorkerRegistryMessage,
    JobCancelledError,
    JobError,
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
from trio_transports.bus.crossing import MAX_ASKED
from trio_transports.params import ReconnectPolicy
from trio_transports.wire.memory import MemoryWire


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


async def test_the_loss_of_an_old_connection_ends_no_job_of_the_new_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A peer that was cut off dials again before this side has noticed; what it asks then, and is asked, goes on.

    What crossed by the old one alone ends with it.
    """
    runner, near, asking = WorkerRunner("runner"), Doing("near"), Worker("asking")
    entry = WorkerRegistryEntry(name="far")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, near, asking)

        async def connected(name: str) -> MemoryWire:
            gate, wire = wire_pair()
            proxy = WebSocketProxyServer(name, websocket=gate, worker_name="near", remote_worker_name="far")
            nursery.start_soon(runner.run_worker, proxy)
            await wire.send(
                JSON.encode(BusWorkerRegistryMessage(source="p", target="near", runner="far's", workers=[entry]))
            )
            await trio.testing.wait_all_tasks_blocked()
            return wire

        def request(job_id: str) -> BusJobRequestMessage:
            return BusJobRequestMessage(source="far", target="near", job_id=job_id, job_name="slow")

        async def asked_of(wire: MemoryWire) -> BusJobRequestMessage:
            return next(one for one in await received(wire) if isinstance(one, BusJobRequestMessage))

        answers = list[Payload]()

        async def ask() -> None:
            answers.append(await near.job("far", "anything", timeout=50))

        gates = [await connected("gate 0")]
        for number in (1, 2):
            old = gates[-1]
            await old.send(JSON.encode(request(f"old {number}")))
            await trio.testing.wait_all_tasks_blocked()
            new = await connected(f"gate {number}")
            gates.append(new)
            await new.send(JSON.encode(request(f"new {number}")))
            nursery.start_soon(ask)
            crossed = await asked_of(new)
            near.seen.clear()
            old.abort()
            await trio.testing.wait_all_tasks_blocked()
            assert near.seen == ["cancelled"]
            await new.send(
                JSON.encode(
                    BusJobResponseMessage(
                        source="far", target="near", job_id=crossed.job_id, status="completed", response={"n": number}
                    )
                )
            )
            await trio.sleep(11)
            assert answers[-1] == {"n": number}
            said = [one for one in await received(new) if isinstance(one, BusJobResponseMessage)]
            assert [one.status for one in said if one.job_id == f"new {number}"] == ["completed"]
        (carried,) = runner.registry._crossing.values()
        assert [*carried.ours, *carried.theirs] == []
        nursery.start_soon(expect_gone, near)
        await trio.testing.wait_all_tasks_blocked()
        gates[-1].abort()
        await trio.testing.wait_all_tasks_blocked()
        assert runner.registry._crossing == {}
        runner.cancel()


async def expect_gone(near: Worker) -> None:
    with pytest.raises(WorkerGoneError, match="the connection to it was lost"):
        await near.job("far", "anything", timeout=50)


async def test_the_jobs_that_a_connection_is_remembered_to_carry_are_bounded(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A worker that handles messages by itself need not answer: the oldest are forgotten."""

    class Silent(Worker):
        async def on_bus_message(self, message: BusMessage) -> None:
            pass

    runner = WorkerRunner("runner")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Silent("near"))
        gate, wire = wire_pair()
        proxy = WebSocketProxyServer("gate", websocket=gate, worker_name="near", remote_worker_name="far")
        nursery.start_soon(runner.run_worker, proxy)
        for number in range(MAX_ASKED + 10):
            await wire.send(JSON.encode(BusJobRequestMessage(source="far", target="near", job_id=str(number))))
        await trio.testing.wait_all_tasks_blocked()
        assert [*proxy._crossing.theirs] == [str(number) for number in range(10, MAX_ASKED + 10)]
        assert not proxy._crossing.ours
        runner.cancel()


async def test_a_group_that_goes_two_ways_loses_the_one_that_is_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    """Its request has one id for all of them: that another connection carries it says nothing of this one. Twice."""
    runner, near = WorkerRunner("runner"), Doing("near")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, near)
        for round_ in range(2):
            wires = dict[str, MemoryWire]()
            for remote in ("a", "b"):
                gate, wires[remote] = wire_pair()
                proxy = WebSocketProxyServer(
                    f"gate to {remote} {round_}", websocket=gate, worker_name="near", remote_worker_name=remote
                )
                nursery.start_soon(runner.run_worker, proxy)
                entry = WorkerRegistryEntry(name=remote)
                news = BusWorkerRegistryMessage(source="p", target="near", runner=f"{remote}'s", workers=[entry])
                await wires[remote].send(JSON.encode(news))
            await trio.testing.wait_all_tasks_blocked()

            async def cut(wire: MemoryWire = wires["a"]) -> None:
                await trio.sleep(1)
                wire.abort()

            nursery.start_soon(cut)
            began_s = trio.current_time()
            with pytest.raises(JobGroupError, match="the connection to it was lost"):
                await near.job_group("a", "b", name="anything", timeout=50)
            assert trio.current_time() - began_s < 2
            wires["b"].abort()
            await trio.testing.wait_all_tasks_blocked()
        runner.cancel()
