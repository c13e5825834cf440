"""A peer that breaks the rules and goes on talking: it is told, and nothing of that is an error of this side's."""

import logging
import time
from contextlib import suppress

import pytest
import trio

from tests.real.wire.engines import server_and_peer
from trio_transports.errors import ConnectionClosed
from trio_transports.wire.engines import ENGINES
from trio_transports.wire.rfc6455 import Close, Parser, encode_frame

VIOLATIONS = {1002: b"\xff\x80\x00\x00\x00\x00", 1009: encode_frame(2, bytes(1001), masked=True)}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("code", VIOLATIONS)
@pytest.mark.parametrize("blocked_s", [0, 0.03])
@pytest.mark.parametrize("same_write", [b"", b"more"])
async def test_it_is_told(
    engine: str, code: int, blocked_s: float, same_write: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The Close says what was wrong, also where other tasks keep the loop from reading when it wants to."""
    caplog.set_level(logging.WARNING)
    got: list[object] = []
    with trio.fail_after(20):
        async with server_and_peer(engine) as (wire, peer), trio.open_nursery() as nursery:

            @nursery.start_soon
            async def block() -> None:
                while blocked_s:
                    time.sleep(blocked_s)  # noqa: ASYNC251 - that is its subject
                    await trio.lowlevel.checkpoint()

            @nursery.start_soon
            async def talk() -> None:
                try:
                    await peer.send_all(VIOLATIONS[code] + same_write)
                    while True:
                        await peer.send_all(b"more")
                        await trio.sleep(0.001)
                except trio.BrokenResourceError:
                    return  # it has been told, and is heard no longer

            with pytest.raises(ConnectionClosed) as closed:
                await wire.receive()
            assert closed.value.code == code
            parser = Parser(from_client=False, max_message_bytes=2000)
            got += parser.feed(bytes(await peer.receive_some()))
            nursery.cancel_scope.cancel()
    assert [each.code for each in got if isinstance(each, Close)] == [code]
    assert not caplog.records


@pytest.mark.parametrize("engine", ENGINES)
async def test_it_is_told_once_where_a_writer_hears_of_it_first(engine: str) -> None:
    """Two writers find out, and then the reader: the peer reads one Close, with what was wrong."""
    codes: list[int] = []
    with trio.fail_after(20):
        async with server_and_peer(engine) as (wire, peer), trio.open_nursery() as nursery:
            await peer.send_all(VIOLATIONS[1002])
            await trio.sleep(0.1)

            async def write() -> None:
                with suppress(ConnectionClosed):
                    await wire.send("a word")

            async def read_codes() -> None:
                parser = Parser(from_client=False, max_message_bytes=2000)
                with suppress(trio.BrokenResourceError):
                    async for data in peer:
                        codes.extend(each.code for each in parser.feed(bytes(data)) if isinstance(each, Close))
                await peer.aclose()

            for task in (write, write, read_codes):
                nursery.start_soon(task)
            await trio.sleep(0.05)
            with pytest.raises(ConnectionClosed) as closed:
                await wire.receive()
            assert closed.value.code == 1002
            wire.abort()
    assert codes == [1002]
