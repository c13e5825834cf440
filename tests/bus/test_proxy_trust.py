"""What a peer may not do to the worker that it shares with others."""

from collections.abc import Callable

import pytest
import trio
import trio.testing

from tests.bus.proxies import JSON, MAKERS, frame_message, received, server, wire_pair
from trio_transports.bus import (
    BusActivateWorkerMessage,
    BusCancelMessage,
    BusCancelWorkerMessage,
    BusDeactivateWorkerMessage,
    BusEndMessage,
    BusEndWorkerMessage,
    BusFrameMessage,
    BusMessage,
    WebSocketProxyServer,
    Worker,
    WorkerRunner,
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
