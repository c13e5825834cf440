"""The guard on HTTP/1.1, with its peer and its app played by the test."""

from typing import Any

from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from tests.hosting.test_guarded_h2 import Tasks
from trio_transports.hosting.h1 import GuardedH11


async def test_a_body_is_read_until_it_ends() -> None:
    """Not while its head is, and not once all of it is here."""
    tasks: Any = Tasks()
    app: Any = None

    async def send(_event: object) -> None: ...

    protocol = GuardedH11(
        app,
        Config(),
        WorkerContext(None),
        tasks,
        ConnectionState({}),
        False,
        ("127.0.0.1", 1),
        ("127.0.0.1", 2),
        send,
        takes_h2c=False,
        on_refused=lambda _: None,
    )
    seen = []
    for piece in (b"POST /here HTTP/1.1\r\nHost: x\r\n", b"Content-Length: 5\r\n\r\n", b"ab", b"cde"):
        await protocol.handle(RawData(piece))
        seen.append(protocol.is_reading_body)
    assert seen == [False, True, True, False]
    assert tasks.paths == ["/here"]
