"""What serve_asgi logs of a caller stays on one line, whatever path it asked for."""

import logging

import pytest
import trio

from tests.real.asgi.apps import lifespan
from tests.real.asgi.hosts import LogLines, hosted
from tests.real.asgi.raw_peer import raw_peer
from trio_transports.wire.asgi import Receive, Scope, Send

PATH = "/x%0aFAKE%20all%20is%20well%1b[2J?token=s3cr3t"


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    raise ZeroDivisionError


@pytest.mark.parametrize("kind", ["a page", "a WebSocket"])
async def test_a_path_writes_no_line_of_its_own(kind: str) -> None:
    """In the error log and the access log, twice; the path is there, escaped, and the query is not."""
    access, logger = LogLines(), logging.Logger("access")
    logger.addHandler(access)
    with trio.fail_after(20):
        async with hosted(failing, accesslog=logger) as server:
            for turn in (1, 2):
                async with raw_peer(server.port) as peer:
                    if kind == "a page":
                        await peer.send(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                        await peer.read_head()
                    else:
                        await peer.upgrade(PATH)
                    assert peer.status == 500
                    await peer.wait_eof()
                assert len(server.log.errors) == turn
    told = [record.getMessage() for record in server.log.errors]
    assert told == [r"Error in ASGI Framework (/x\nFAKE all is well\x1b[2J)"] * 2
    lines = [record.getMessage() for record in access.records]
    assert len(lines) >= 2
    assert all(line.isprintable() and r"/x\nFAKE all" in line and "s3cr3t" not in line for line in lines)
