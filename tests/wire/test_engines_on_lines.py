"""Both engines in virtual time, on lines in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.wire.lines import wires_on_lines
from trio_transports.testing import check_wire
from trio_transports.wire import Wire
from trio_transports.wire.settings import WireSettings

ENGINES = ["direct", "trio-websocket"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_contract(engine: str, autojump_clock: trio.testing.MockClock) -> None:

    @asynccontextmanager
    async def pair(*, max_message_bytes: int) -> AsyncIterator[tuple[Wire, Wire]]:
        settings = WireSettings(max_message_bytes=max_message_bytes)
        async with wires_on_lines(engine, client=settings, server=settings) as (client, server, *_):
            yield client, server

    await check_wire(pair)
