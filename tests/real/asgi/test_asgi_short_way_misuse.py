"""The short way where an app does what few do: reads beside its session, hands over late, patches its framework."""

from collections import Counter
from functools import partial
from typing import Any

import pytest
import trio
from starlette.websockets import WebSocket

from tests.real.asgi.apps import lifespan, until
from tests.real.asgi.hosts import hosted
from tests.real.asgi.raw_peer import BINARY, TEXT, close_frame, frame, raw_peer
from trio_transports.errors import ConnectionClosed
from trio_transports.wire.asgi import Receive, Scope, Send, asgi_wire


@pytest.mark.usefixtures("load")
@pytest.mark.parametrize("reads_first", [True, False], ids=["wire first", "app first"])
async def test_an_app_that_reads_beside_its_session_gets_a_share(reads_first: bool) -> None:
    """Each message goes to one of the two, in whatever share, and the connection lives."""
    by_wire: list[Any] = []
    by_app: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        wire = asgi_wire((scope, receive, send))
        await wire.accept()

        async def by_itself() -> None:
            while (event := await receive())["type"] == "websocket.receive":
                by_app.append(event["text"])

        def take(message: str | bytes) -> bool:
            by_wire.append(message)
            return False

        async def read_wire() -> None:
            try:
                await wire.receive_each(take)
            except ConnectionClosed as closed:
                ends.append(closed.code)

        async with trio.open_nursery() as nursery:
            first, second = (read_wire, by_itself) if reads_first else (by_itself, read_wire)
            nursery.start_soon(first)
            await trio.sleep(0.05)
            nursery.start_soon(second)

    ends: list[int] = []

    def is_shared_out(expected: list[str]) -> bool:
        return sorted([*by_wire, *by_app]) == expected

    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        await peer.send(frame(TEXT, b"0"))
        await trio.sleep(0.1)  # both wait now
        for n in range(1, 6):
            await peer.send(frame(TEXT, str(n).encode()))
            expected = [str(m) for m in range(n + 1)]
            await until(partial(is_shared_out, expected))
        await peer.send(close_frame(4000))
        assert (await peer.read_to_close()).close_code == 4000
        await until(lambda: ends)
    assert ends == [4000]
    assert server.log.errors == []


async def test_a_message_that_came_before_the_limit_was_said_is_held_to_it() -> None:
    """An app that accepts by itself and hands over later: what its server had queued by then is measured too."""
    ended: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await trio.sleep(0.1)
        wire = asgi_wire((scope, receive, send), max_message_bytes=100)
        assert await wire.receive() == b"x" * 100
        try:
            await wire.receive()
        except ConnectionClosed as closed:
            ended.append(closed.code)

    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        await peer.send(frame(BINARY, b"x" * 100) + frame(BINARY, b"x" * 101))
        assert (await peer.read_to_close()).close_code == 1009
        await peer.send(close_frame(1009))
        await until(lambda: ended)
    assert ended == [1009]


async def test_a_framework_that_is_patched_to_look_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing that puts its own ``receive`` and ``send`` into Starlette's class sees every message."""
    asked: Counter[str] = Counter()
    receive_as_ever, send_as_ever = WebSocket.receive, WebSocket.send

    async def receive_watched(self: WebSocket) -> Any:  # noqa: ANN401
        event = await receive_as_ever(self)
        asked[event["type"]] += 1
        return event

    async def send_watched(self: WebSocket, message: Any) -> None:  # noqa: ANN401
        asked[message["type"]] += 1
        await send_as_ever(self, message)

    monkeypatch.setattr(WebSocket, "receive", receive_watched)
    monkeypatch.setattr(WebSocket, "send", send_watched)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        wire = asgi_wire(WebSocket(scope, receive, send))
        await wire.accept()
        for _ in range(2):
            await wire.send(await wire.receive())
        await wire.aclose()

    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        await peer.send(frame(TEXT, b"one"))
        await peer.send(frame(TEXT, b"two"))
        await peer.read_to_close()
    assert asked["websocket.receive"] == 2
    assert asked["websocket.send"] == 2
