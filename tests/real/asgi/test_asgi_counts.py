"""serve_asgi counts whom it lets in and whom it turns away, by cause, for a page of the app's to show."""

import json
from contextlib import AsyncExitStack
from functools import partial

import trio

from tests.real.asgi.hosts import Hosted, LogLines, hosted, quiet_config
from tests.real.edge.attacks import GOOD
from trio_transports.hosting import callers, serve_asgi
from trio_transports.wire.asgi import Receive, Scope, Send

NONSENSE = b"this is not HTTP\r\n\r\n"
LIMITS = {"max_connections_per_address": 4, "header_timeout": 3}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """It takes calls on /call only, and shows what the server has counted."""
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] != "/call":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    elif scope["type"] == "http":
        counted = callers(scope)
        assert counted is not None
        body = json.dumps([counted.connections, counted.let_in, dict(counted.turned_away)]).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    else:
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})


async def answer(port: int, sends: bytes) -> bytes:
    """All that the server says to it, until the server ends the connection."""
    got = b""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(sends)
        async for data in stream:
            got += data
    return got


async def counted(host: Hosted) -> tuple[int, dict[str, int], int]:
    """What the server has counted, once nobody else is there; and how often it has refused this asker before."""
    refused = 0
    while True:
        got = await answer(host.port, b"GET /callers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        if b" 429 " in got:
            refused += 1
            continue
        connections, let_in, turned_away = json.loads(got.partition(b"\r\n\r\n")[2])
        if connections == 1:
            return let_in, turned_away, refused


async def test_what_was_turned_away_is_counted_by_its_cause() -> None:
    """Each cause twice over; the connection that asks is one."""
    with trio.fail_after(60):
        async with hosted(app, limits=LIMITS) as host:
            assert await counted(host) == (0, {}, 0)
            refused = 0
            for turn in (1, 2):
                assert b" 400 " in await answer(host.port, NONSENSE)
                assert b" 426 " in await answer(host.port, GOOD(b"/call").replace(b"Version: 13", b"Version: x"))
                assert await answer(host.port, b"") == b""  # it says nothing
                assert b" 403 " in await answer(host.port, GOOD(b"/elsewhere"))
                async with AsyncExitStack() as stack:
                    for _ in range(4):
                        stream = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", host.port))
                        await stream.send_all(GOOD(b"/call"))
                        assert b" 101 " in await stream.receive_some(4000)
                    assert b" 429 " in await answer(host.port, GOOD(b"/call"))
                let_in, turned_away, more = await counted(host)
                refused += more
                assert let_in == 4 * turn
                assert turned_away == {"request": 2 * turn, "time": turn, "app": turn, "limit": turn + refused}


async def test_who_comes_while_the_server_leaves_is_counted() -> None:
    """As one cause, whatever it asked for."""
    stop = trio.Event()
    config, _ = quiet_config()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            serve = partial(serve_asgi, app, config, shutdown_trigger=stop.wait, drain=60)
            host = Hosted((await nursery.start(serve))[0], LogLines(), stop, stop)
            async with await trio.open_tcp_stream("127.0.0.1", host.port) as call:
                await call.send_all(GOOD(b"/call"))
                assert b" 101 " in await call.receive_some(4000)
                stop.set()
                for turn in (1, 2):
                    while b" 503 " not in await answer(host.port, GOOD(b"/elsewhere")):
                        pass  # until it has been told
                    got = await answer(host.port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    assert json.loads(got.partition(b"\r\n\r\n")[2])[2]["leaving"] == turn


async def test_another_server_counts_nothing() -> None:
    """A page that shows the numbers says so there."""
    assert callers({"type": "http"}) is None
    assert callers({"type": "http", "extensions": None}) is None
