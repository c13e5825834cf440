"""An address that cannot be listened on is named by serve_asgi, with what is wrong."""

import pytest
import trio
from hypercorn.config import Config

from trio_transports.hosting import serve_asgi


async def never(*_: object) -> None:
    pytest.fail("served")


@pytest.mark.parametrize(
    ("bind", "named"),
    [
        (["127.0.0.1:70000"], r"127\.0\.0\.1:70000"),
        (["127.0.0.1:-1"], r"127\.0\.0\.1:-1"),
        (["127.0.0.1:0", "localhost:65536"], "localhost:65536"),
    ],
)
async def test_a_port_that_is_none(bind: list[str], named: str) -> None:
    """Refused as the other servers do; what was bound before it is closed. Twice."""
    for _ in range(2):
        with trio.fail_after(5), pytest.raises(ValueError, match=f"cannot listen on {named}: .* from 0 .* to 65535"):
            await serve_asgi(never, Config.from_mapping(bind=bind))
