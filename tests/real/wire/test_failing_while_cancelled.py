"""The default engine fails just as its handshake is given up: that is a handshake given up, and no failure."""

import pytest
import trio
import trio_websocket

from tests.real.wire.engines import stream_pair
from trio_transports.errors import ConnectionClosed
from trio_transports.wire.settings import WireSettings
from trio_transports.wire.stream import OwnedStream
from trio_transports.wire.trio_websocket import TrioWebsocketWire, _engine


async def fails() -> None:
    """As the engine's reader does where the stream is closed under it."""
    try:
        await trio.sleep_forever()
    finally:
        raise trio_websocket.ConnectionClosed(None)


async def opens(nursery: trio.Nursery) -> TrioWebsocketWire:
    nursery.start_soon(fails)
    await trio.sleep_forever()
    raise AssertionError


async def test_its_time_is_over() -> None:
    """The time limit of whoever waits is all that is told."""
    async with stream_pair() as (near, _):
        with trio.move_on_after(0.01) as limit:
            async with _engine(opens, OwnedStream(near), WireSettings(), what="the handshake"):
                pytest.fail("nobody has answered")
        assert limit.cancelled_caught


async def test_the_peer_goes() -> None:
    """Where the stream ends it is cut off, as without a failure beside."""
    async with stream_pair() as (near, _), trio.open_nursery() as nursery:
        owned = OwnedStream(near)

        @nursery.start_soon
        async def end() -> None:
            await trio.sleep(0.01)
            owned.abort()

        with pytest.raises(ConnectionClosed, match="was cut off"):
            async with _engine(opens, owned, WireSettings(), what="the handshake"):
                pytest.fail("nobody has answered")
