"""The example of a bridged bot: callers here, their worker on the bus, in this process and over Redis."""

import pytest
import trio

from tests.real.bus.servers import RedisServer
from tests.tools import requires_module
from trio_transports import TextFrame, WebsocketClientParams, WebsocketClientTransport
from trio_transports.examples.bridged_bot import bus_at, serve
from trio_transports.serializers import JSONFrameSerializer


async def call(port: int, name: str) -> list[str]:
    """What one caller hears."""
    heard: list[str] = []
    transport = WebsocketClientTransport(
        f"ws://127.0.0.1:{port}", WebsocketClientParams(serializer=JSONFrameSerializer())
    )
    async with transport.session() as session:
        await session.output.send(TextFrame(text=name))
        async for frame in session.input:
            if isinstance(frame, TextFrame):
                heard.append(frame.text)
            if len(heard) == 2:
                break
    return heard


@pytest.mark.parametrize("carrier", ["local", "redis"])
async def test_callers_are_served_over_the_bus(carrier: str, redis_server: RedisServer) -> None:
    """Two callers at once, and a third after them, each hear the greeting and their own words."""
    if carrier == "redis":
        requires_module("coredis", extra="redis")
    await redis_server.wait_until_it_answers()
    bus = bus_at(redis_server.url if carrier == "redis" else None)
    heard: dict[str, list[str]] = {}
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            ready = await nursery.start(serve, 0, bus)

            async def one(name: str) -> None:
                heard[name] = await call(ready.port, name)

            async with trio.open_nursery() as callers:
                callers.start_soon(one, "ada")
                callers.start_soon(one, "ben")
            await one("cy")
            nursery.cancel_scope.cancel()
    assert heard == {name: ["hello caller", name.upper()] for name in ("ada", "ben", "cy")}
