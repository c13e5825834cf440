"""A pair of proxies, audio in binary, serializers of one's own."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from tests.bus.proxies import MAKERS, audio, client, data, on_the_bus, running, server, wire_pair
from trio_transports.bus import (
    BUS_SUBPROTOCOL,
    BinaryMessageSerializer,
    BusDataMessage,
    BusFrameMessage,
    BusGapMessage,
    BusMessage,
    ProxySettings,
    WebSocketProxyServer,
    Worker,
    WorkerRunner,
)
from trio_transports.bus.proxy.base import Proxy


@pytest.mark.parametrize(("subprotocol", "first"), [(BUS_SUBPROTOCOL, b"\x01"), (None, b"{"), ("other", b"{")])
@MAKERS
async def test_audio_goes_in_binary_between_our_own(
    make: Callable[..., Proxy], subprotocol: str | None, first: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    """With the subprotocol agreed audio leaves as PCM, without it as Pipecat's JSON. All else is JSON in both."""
    near, far = wire_pair(subprotocol)
    async with running(make(near)) as bus:
        await bus.send(audio(1))
        await bus.send(data("near", "far"))
        await trio.testing.wait_all_tasks_blocked()
        message = await far.receive()
        assert isinstance(message, bytes)
        assert message[:1] == first
        assert BinaryMessageSerializer().decode(message) == audio(1)
        assert json.loads(await far.receive())["__type__"] == "pipecat.bus.messages.BusDataMessage"


class Upper:
    """A serializer of the user's own: text, in capitals."""

    def encode(self, message: BusMessage) -> bytes:
        return message.source.upper().encode()

    def decode(self, data: bytes | str) -> BusMessage:
        text = data if isinstance(data, str) else data.decode()
        return BusDataMessage(source=text.lower(), target="near")


@MAKERS
async def test_a_serializer_of_ones_own(make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock) -> None:
    """A serializer given to a proxy is used on every connection, audio included, whatever was agreed."""
    near, far = wire_pair(BUS_SUBPROTOCOL)
    async with running(make(near, serializer=Upper())) as bus:
        reader = bus.subscribe("reader")
        await bus.send(audio(1))
        await trio.testing.wait_all_tasks_blocked()
        assert await far.receive() == b"NEAR"
        await far.send(b"FAR")
        assert await on_the_bus(reader) == [audio(1), data("far", "near")]


async def test_a_pair_joins_two_buses(autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Two runners, joined by a proxy pair, exchange messages and know each other's worker; ending one ends the pair."""
    caplog.set_level(logging.WARNING)
    at_client, at_server = wire_pair(BUS_SUBPROTOCOL)

    class Echo(Worker):
        async def on_bus_message(self, message: BusMessage) -> None:
            if isinstance(message, BusFrameMessage):
                await self.send(BusFrameMessage(source=self.name, target=message.source, frame=message.frame))

    here, there = WorkerRunner("here"), WorkerRunner("there")
    frames_back = here.bus.subscribe("voice", accepts=lambda m: isinstance(m, BusFrameMessage) and m.target == "voice")
    voice = Worker("near")
    there_proxy = WebSocketProxyServer("gateway", websocket=at_server, worker_name="far", remote_worker_name="near")
    async with trio.open_nursery() as nursery:
        await nursery.start(here.run, voice, client(at_client))
        await nursery.start(there.run, Echo("far"), there_proxy)
        await trio.testing.wait_all_tasks_blocked()
        found = here.registry.find("far"), there.registry.find("near")
        assert [data and data.runner for data in found] == ["there", "here"]
        reader = here.bus.subscribe("near", accepts=lambda m: isinstance(m, BusFrameMessage) and m.target == "near")
        await here.bus.send(audio(5))
        reply = await reader.receive()
        assert isinstance(reply, BusFrameMessage)
        assert (reply.source, reply.frame) == ("far", audio(5).frame)
        here.end()
        await trio.testing.wait_all_tasks_blocked()
        assert [worker.name for worker in there.workers] == ["far"]
        there.end()
    assert frames_back.statistics().received == 0
    assert caplog.records == []


@pytest.mark.parametrize("value", ["", None, 5])
def test_names_are_checked(value: Any) -> None:  # noqa: ANN401 - wrong on purpose
    """A proxy without two different names is refused at once."""
    near, _ = wire_pair()
    with pytest.raises(ValueError, match="remote_worker_name must be the name of a worker"):
        WebSocketProxyServer("p", websocket=near, worker_name="w", remote_worker_name=value)
    with pytest.raises(ValueError, match="both workers are named 'w'"):
        WebSocketProxyServer("p", websocket=near, worker_name="w", remote_worker_name="w")


def test_settings_are_checked() -> None:
    """A limit of nothing is refused by its name."""
    with pytest.raises(ValueError, match=r"ProxySettings.send_timeout must be above 0"):
        ProxySettings(send_timeout=0)


async def test_what_came_too_fast_for_the_proxy_is_counted(autojump_clock: trio.testing.MockClock) -> None:
    """A gap in the proxy's own subscription counts as dropped."""
    near, _far = wire_pair()
    proxy = server(near)
    async with running(proxy) as bus:
        await bus.send(BusGapMessage(source="bus", missed=7))
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.statistics().dropped == 7
