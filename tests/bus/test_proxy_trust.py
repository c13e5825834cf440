"""What a peer may not do to the worker that it shares with others."""

from collections.abc import Callable

import pytest
import trio
import trio.testing

import trio_transports.bus.registry as registry_module
from tests.bus.proxies import JSON, MAKERS, frame_message, received, server, wire_pair
from trio_transports.bus import (
    BusActivateWorkerMessage,
    BusCancelMessage,
    BusCancelWorkerMessage,
    BusDeactivateWorkerMessage,
    BusEndMessage,
    BusEndWorkerMessage,
    BusFrameMessage,
    BusJobCancelMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusJobStreamEndMessage,
    BusMessage,
    BusWorkerErrorMessage,
    BusWorkerReadyMessage,
    BusWorkerRegistryMessage,
    JobRequest,
    Payload,
    WebSocketProxyServer,
    Worker,
    WorkerRegistryEntry,
    WorkerRunner,
    job,
)
from trio_transports.bus.proxy.base import Proxy
from trio_transports.frames import TextFrame
from trio_transports.wire.memory import MemoryWire

LIFECYCLE: tuple[type[BusMessage], ...] = (
    BusActivateWorkerMessage,
    BusCancelMessage,
    BusCancelWorkerMessage,
    BusDeactivateWorkerMessage,
    BusEndMessage,
    BusEndWorkerMessage,
)


class Echo(Worker):
    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusFrameMessage):
            await self.send(frame_message(self.name, message.source, message.frame))


class Slow(Worker):
    @job("slow")
    async def slow(self, request: JobRequest) -> Payload:
        await trio.sleep(2)
        return {"slow": True}


def proxy_for(wire: MemoryWire, peer: str) -> WebSocketProxyServer:
    return WebSocketProxyServer(f"gate of {peer}", websocket=wire, worker_name="near", remote_worker_name=peer)


async def answered(wire: MemoryWire, peer: str) -> bool:
    """Whether the shared worker still answers this peer."""
    await wire.send(JSON.encode(frame_message(peer, "near", TextFrame(text=peer))))
    return frame_message("near", peer, TextFrame(text=peer)) in await received(wire)


async def test_no_lifecycle_message_of_a_peer_reaches_the_shared_worker(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Each lifecycle message, to the worker, to all and to the runner, twice: the others and new peers are answered."""
    runner = WorkerRunner("runner")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Echo("near"))
        hostile_gate, hostile = wire_pair()
        friend_gate, friend = wire_pair()
        proxy = proxy_for(hostile_gate, "hostile")
        nursery.start_soon(runner.run_worker, proxy)
        nursery.start_soon(runner.run_worker, proxy_for(friend_gate, "friend"))
        await trio.testing.wait_all_tasks_blocked()
        for round_ in (1, 2):
            for kind in LIFECYCLE:
                for target in ("near", None, "runner", "gate of friend"):
                    await hostile.send(JSON.encode(kind(source="hostile", target=target)))
                assert await answered(friend, "friend"), kind
            new_gate, new = wire_pair()
            nursery.start_soon(runner.run_worker, proxy_for(new_gate, f"new {round_}"))
            assert await answered(new, f"new {round_}")
            assert await answered(hostile, "hostile")
            assert proxy.statistics().refused == round_ * len(LIFECYCLE) * 4
        runner.cancel()


@MAKERS
async def test_a_lifecycle_message_comes_in_where_it_was_asked_for(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """What ``accepts_lifecycle`` names reaches the local worker, addressed to it; nothing else does, nor to all."""
    near, far = wire_pair()
    activations: list[str] = []

    class Watched(Worker):
        async def on_activated(self, args: object) -> None:
            activations.append(f"on {args}")

        async def on_deactivated(self) -> None:
            activations.append("off")

    wanted = (BusActivateWorkerMessage, BusDeactivateWorkerMessage)
    proxy = make(near, accepts_lifecycle=wanted, forward_messages=(BusActivateWorkerMessage, BusCancelMessage))
    runner = WorkerRunner("runner")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Watched("near"))
        nursery.start_soon(runner.run_worker, proxy)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            await far.send(JSON.encode(BusDeactivateWorkerMessage(source="far", target="near")))
            await far.send(JSON.encode(BusActivateWorkerMessage(source="far", target="near", args={"n": 1})))
        await far.send(JSON.encode(BusActivateWorkerMessage(source="far")))
        await far.send(JSON.encode(BusCancelMessage(source="far")))
        await far.send(JSON.encode(BusEndWorkerMessage(source="far", target="near")))
        await trio.testing.wait_all_tasks_blocked()
        assert activations == ["on None", "off", "on {'n': 1}", "off", "on {'n': 1}"]
        assert proxy.statistics().refused == 3
        runner.cancel()


@pytest.mark.parametrize("wrong", [(BusFrameMessage,), ("BusCancelMessage",), BusCancelMessage])
def test_only_lifecycle_messages_are_named(wrong: object) -> None:
    """Another message in ``accepts_lifecycle`` is a mistake that is told, with what may stand there."""
    with pytest.raises(TypeError, match=r"accepts_lifecycle.*BusEndWorkerMessage"):
        server(wire_pair()[0], accepts_lifecycle=wrong)


@MAKERS
async def test_a_peer_speaks_for_its_own_worker_only(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """In others' names it can end no job, answer none, cancel none, and make no worker known or unknown."""
    near_wire, far = wire_pair()
    ours, theirs = WorkerRunner("ours"), WorkerRunner("theirs", heartbeat=1)
    theirs.bus = ours.bus
    asking, bot = Worker("near"), Slow("bot")
    proxy = make(near_wire)
    entry = WorkerRegistryEntry(name="bot")
    requests = ours.bus.subscribe("requests", accepts=lambda message: isinstance(message, BusJobRequestMessage))
    answers: list[Payload] = []

    async def ask() -> None:
        for _ in range(2):
            answers.append(await asking.job("bot", "slow", timeout=50))

    async with trio.open_nursery() as nursery:
        await nursery.start(ours.run, asking, proxy)
        await nursery.start(theirs.run, bot)
        nursery.start_soon(ask)
        for round_ in (1, 2):
            asked = await requests.receive()
            assert isinstance(asked, BusJobRequestMessage)
            for message in (
                BusWorkerRegistryMessage(source="far", target="near", runner="theirs", workers=(), alive_for_s=0.1),
                BusWorkerRegistryMessage(source="far", target="near", runner="x", workers=[entry], alive_for_s=0.1),
                BusWorkerErrorMessage(source="bot", target="near", error="no"),
                BusWorkerReadyMessage(source="bot", target="near", runner="x"),
                BusJobResponseMessage(source="bot", target="near", job_id=asked.job_id, status="completed"),
                BusJobStreamEndMessage(source="bot", target="near", job_id=asked.job_id),
                BusJobCancelMessage(source="other", target="near", job_id="1"),
            ):
                await far.send(JSON.encode(message))
            await trio.sleep(3)
            assert answers == [{"slow": True}] * round_
            assert proxy.statistics().refused == 5 * round_
            assert [entry.name for entry in ours.registry.remote_workers] == ["bot"]
        ours.cancel()
        theirs.cancel()


async def test_peers_that_come_and_go_do_not_fill_the_registry(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Each peer has a runner of its own name. What only a connection that ended told of is forgotten, and no more."""
    monkeypatch.setattr(registry_module, "MAX_REMOTE", 5)
    runner = WorkerRunner("runner")
    entry = WorkerRegistryEntry(name="peer")
    gone: list[str] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Echo("near"))
        runner.registry.on_gone(gone.append)

        async def connected(name: str, told: str) -> MemoryWire:
            gate, wire = wire_pair()
            proxy = WebSocketProxyServer(name, websocket=gate, worker_name="near", remote_worker_name="peer")
            nursery.start_soon(runner.run_worker, proxy)
            await wire.send(
                JSON.encode(BusWorkerRegistryMessage(source="p", target="near", runner=told, workers=[entry]))
            )
            await trio.testing.wait_all_tasks_blocked()
            assert "peer" in runner.registry
            return wire

        for number in range(12):
            wire = await connected("gate", f"runner {number}")
            await wire.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert "peer" not in runner.registry
        assert gone.count("peer") == 12
        assert (runner.registry.refused, runner.registry.remote_workers) == (0, ())
        old, new = await connected("old gate", "one runner"), await connected("new gate", "one runner")
        await old.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert "peer" in runner.registry
        await new.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert "peer" not in runner.registry
        runner.cancel()
