"""A hostile peer of a served worker, on real sockets: the program of the README, and everything that ends workers."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.bus.proxies import JSON, frame_message
from tests.bus.test_proxy_trust import LIFECYCLE
from tests.real.bus.test_proxy_sockets import raw_wire
from tests.real.bus.test_serving import ask, client, serving
from tests.real.bus.waiting import until
from trio_transports.bus import LocalBus, WebSocketProxyServer
from trio_transports.bus.codec.json import PIPECAT_MESSAGES
from trio_transports.frames import TextFrame
from trio_transports.wire.dialling import Address, Dialler
from trio_transports.wire.direct import DirectWire
from trio_transports.wire.engines import engine_named
from trio_transports.wire.settings import WireSettings

ENGINES = pytest.mark.parametrize("engine", ["direct", "trio-websocket"])
"""What the server reads with: one reads all that has come at once, the other message by message."""


@ENGINES
async def test_no_lifecycle_message_of_a_peer_stops_the_worker_for_others(engine: str) -> None:
    """Each one, to the worker, to all, to the runner and the gates, twice: all peers, new ones too, are served."""
    with trio.fail_after(60):
        async with serving(engine=engine) as (port, runner, _), trio.open_nursery() as nursery:
            await nursery.start(client(port, "friend").run, friends := LocalBus())
            await ask(friends, "friend", "before")
            friends_gate = runner.workers[-1].name
            async with raw_wire(f"ws://127.0.0.1:{port}/hostile") as hostile:
                await until(lambda: len(runner.workers) == 3)
                gate = runner.workers[-1]
                assert isinstance(gate, WebSocketProxyServer)
                await hostile.receive()  # the registry
                sent = 0
                for round_ in (1, 2):
                    for kind in LIFECYCLE:
                        for target in ("far", None, "server", friends_gate, gate.name):
                            await hostile.send(JSON.encode(kind(source="hostile", target=target)))
                            sent += 1
                        await until(lambda: gate.statistics().refused == sent)  # noqa: B023 - waited for here
                        await ask(friends, "friend", f"{kind.__name__} {round_}")
                    await nursery.start(client(port, f"new-{round_}").run, new := LocalBus())
                    await ask(new, f"new-{round_}", "hello")
                    await hostile.send(JSON.encode(frame_message("hostile", "far", TextFrame(text="still here"))))
                    assert JSON.decode(await hostile.receive()) == frame_message(
                        "far", "hostile", TextFrame(text="still here")
                    )
            assert not runner.is_ending
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def batching_wire(url: str) -> AsyncIterator[DirectWire]:
    dialler = Dialler(
        address=Address.parse(url),
        engine=engine_named("direct"),
        settings=WireSettings(),
        connect_timeout_s=10,
        ssl_context=None,
        headers=(),
        subprotocols=(),
    )
    async with dialler.connect() as wire:
        assert isinstance(wire, DirectWire)
        yield wire


def written(kind: str, source: str, target: str | None) -> bytes:
    """As a peer writes it that has no such class: with members that some of these messages have."""
    members = {"source": source, "target": target, "reason": "hostile", "error": "hostile", "worker": {"name": "x"}}
    return json.dumps({"__type__": PIPECAT_MESSAGES + kind, "__data__": members}).encode()


KINDS = (*(kind.__name__ for kind in LIFECYCLE), "BusAddWorkerMessage", "BusWorkerLocalErrorMessage", "BusStopMessage")


@ENGINES
async def test_nor_does_one_in_a_forged_name_or_among_hundreds(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every kind, in the name of everybody and to everybody, in one write, twice: all are counted, and nobody stops."""
    with trio.fail_after(60):
        async with serving(engine=engine) as (port, runner, _), trio.open_nursery() as nursery:
            await nursery.start(client(port, "friend").run, friends := LocalBus())
            await ask(friends, "friend", "before")
            friends_gate = runner.workers[-1].name
            async with batching_wire(f"ws://127.0.0.1:{port}/hostile") as hostile:
                await until(lambda: len(runner.workers) == 3)
                gate = runner.workers[-1]
                assert isinstance(gate, WebSocketProxyServer)
                await hostile.receive()  # the registry
                names = ("hostile", "far", "friend", "server", gate.name, friends_gate)
                forged = [written(kind, source, to) for kind in KINDS for source in names for to in (*names, None)]
                for round_ in (1, 2):
                    left = [*forged]
                    while left:  # as many in one write as the socket takes
                        del left[: hostile.send_several_now(left)]
                        await hostile.flushed()
                    await until(
                        lambda: gate.statistics().refused + gate.statistics().unknown == round_ * len(forged)  # noqa: B023
                    )
                    assert (gate.statistics().malformed, gate.statistics().received) == (0, 0)
                    await ask(friends, "friend", f"after {round_}")
                    await nursery.start(client(port, f"new-{round_}").run, new := LocalBus())
                    await ask(new, f"new-{round_}", "hello")
                assert {worker.name for worker in runner.workers} >= {"far", gate.name, friends_gate}
                assert all(worker.active for worker in runner.workers)
            assert not runner.is_ending
            nursery.cancel_scope.cancel()
    assert "failed" not in caplog.text
