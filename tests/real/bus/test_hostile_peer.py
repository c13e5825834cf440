"""A hostile peer of a served worker, on real sockets: the program of the README, and everything that ends workers."""

import trio

from tests.bus.proxies import JSON, frame_message
from tests.bus.test_proxy_trust import LIFECYCLE
from tests.real.bus.test_proxy_sockets import raw_wire
from tests.real.bus.test_serving import ask, client, serving
from tests.real.bus.waiting import until
from trio_transports.bus import LocalBus, WebSocketProxyServer
from trio_transports.frames import TextFrame


async def test_no_lifecycle_message_of_a_peer_stops_the_worker_for_others() -> None:
    """Each one, to the worker, to all, to the runner and the gates, twice: all peers, new ones too, are served."""
    with trio.fail_after(60):
        async with serving() as (port, runner, _), trio.open_nursery() as nursery:
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
