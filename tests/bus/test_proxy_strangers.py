"""Proxies with peers that say what is not known here."""

import json
from collections.abc import Callable

import pytest
import trio
import trio.testing

from tests.bus.proxies import JSON, MAKERS, data, on_the_bus, running, wire_pair
from trio_transports.bus import BUS_SUBPROTOCOL, LocalBus, ProxySettings
from trio_transports.bus.proxy.base import Proxy


def stranger(name: str, **members: object) -> str:
    return json.dumps({"__type__": name, "__data__": members})


def bot_speaking() -> str:
    """What a stock Pipecat bridge sends every 50 ms while the bot speaks."""
    return stranger(
        "pipecat.bus.messages.BusFrameMessage",
        source="far",
        target="near",
        frame={"__type__": "pipecat.frames.frames.BotSpeakingFrame", "__data__": {"id": 1, "name": "b"}},
        direction={"__type__": "pipecat.processors.frame_processor.FrameDirection", "__data__": "DOWNSTREAM"},
    )


@MAKERS
@pytest.mark.parametrize("subprotocol", [None, BUS_SUBPROTOCOL])
async def test_frames_that_are_not_known_end_no_link(
    make: Callable[..., Proxy],
    subprotocol: str | None,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """105 ``BotSpeakingFrame`` and then 10,000, nothing between them: counted, not malformed, and the link is open."""
    near, far = wire_pair(subprotocol)
    proxy = make(near)
    async with running(proxy) as bus:
        reader = bus.subscribe("reader")
        for count in (105, 10_000):
            before = proxy.statistics().unknown
            for _ in range(count):
                await far.send(bot_speaking())
            await far.send(JSON.encode(data("far", "near")))
            assert await on_the_bus(reader) == [data("far", "near")]
            assert proxy.statistics().unknown - before == count
        assert proxy.statistics().malformed == 0
        assert proxy.is_connected
    assert len(caplog.records) == 0


@MAKERS
async def test_messages_that_are_not_known_end_no_link_either(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """An envelope with a name of somebody's own, and a value inside a payload: ignored and counted."""
    near, far = wire_pair()
    proxy = make(near, settings=ProxySettings(max_malformed=3))
    job = {"source": "far", "target": "near", "job_id": "j", "payload": {"x": {"__type__": "a.B", "__data__": {}}}}
    async with running(proxy):
        for _ in range(50):
            await far.send(stranger("acme.messages.Order", source="far", target="near", number=5))
            await far.send(stranger("pipecat.bus.messages.BusJobRequestMessage", **job))
        await trio.testing.wait_all_tasks_blocked()
        assert (proxy.statistics().unknown, proxy.statistics().malformed) == (100, 0)
        assert proxy.is_connected


@MAKERS
async def test_what_is_malformed_is_so_beside_what_is_not_known(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """Broken messages still close the link after ``max_malformed`` in a row; a stranger's between them starts anew."""
    near, far = wire_pair()
    proxy = make(near, settings=ProxySettings(max_malformed=3))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(proxy.run, LocalBus())
        for _ in range(2):
            await far.send("garbage")
            await far.send(stranger("acme.messages.Order"))
            await far.send('{"__type__":"pipecat.bus.messages.BusDataMessage","__data__":{"source":5}}')
            await trio.testing.wait_all_tasks_blocked()
        assert proxy.statistics().malformed == 4
        assert proxy.is_connected
        await far.send("garbage")
        await far.send("garbage")  # the proxy, and with it the nursery, ends
    assert (proxy.statistics().malformed, proxy.statistics().unknown) == (6, 2)
