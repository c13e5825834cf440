"""A peer's ping that crosses this side's goodbye: the goodbye is finished all the same, and nothing is an error."""

import logging

import pytest
import trio

from tests.real.wire.engines import server_and_peer
from trio_transports.errors import ConnectionClosed
from trio_transports.wire.engines import ENGINES
from trio_transports.wire.rfc6455 import Close, Parser, encode_close, encode_frame

LATE = b"".join(encode_frame(opcode, b"late", masked=True) for opcode in (9, 2, 9))
"""Two pings and a message that were on their way when the goodbye was said."""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("answers", [True, False])
async def test_the_goodbye_is_finished(engine: str, caplog: pytest.LogCaptureFixture, *, answers: bool) -> None:
    """The peer pings twice more, and answers the goodbye or goes: it reads the whole goodbye, and is not reset."""
    caplog.set_level(logging.WARNING)
    with trio.fail_after(60):
        async with server_and_peer(engine) as (wire, peer), trio.open_nursery() as nursery:
            has_closed = trio.Event()

            async def close() -> None:
                with trio.fail_after(30):
                    await wire.aclose(4001, "enough")
                has_closed.set()

            async def read() -> None:
                with pytest.raises(ConnectionClosed) as closed:
                    await wire.receive()
                assert (closed.value.code, closed.value.initiator) == (4001, "local")

            nursery.start_soon(read)
            nursery.start_soon(close)
            parser, got = Parser(from_client=False, max_message_bytes=1000), list[object]()
            while not got:
                got += parser.feed(bytes(await peer.receive_some()))
            await peer.send_all(LATE)
            await peer.send_all(LATE)
            await trio.sleep(0.05)
            if answers:
                await peer.send_all(encode_close(4001, "enough", masked=True))
                async for data in peer:  # up to the end of the stream, which is no reset
                    got += parser.feed(bytes(data))
            else:
                await peer.send_eof()
            await has_closed.wait()
            assert got == [Close(4001, "enough")]
    assert not caplog.records
