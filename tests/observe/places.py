"""Where calls come from without sockets, each with words in its headers and its query that nobody may be told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast, final

import pytest
from attrs import define, field

from tests.wire.asgi_server import Server
from trio_transports import WebsocketClientTransport
from trio_transports._nursery import open_services
from trio_transports.playground.asgi import Route, Send
from trio_transports.testing import ScriptedPeer
from trio_transports.wire.memory import memory_wire_pair
from trio_transports.wire.peer import Peer
from trio_transports.wire.protocol import Wire

SECRET: Final = "hunter2"
PEER: Final = Peer(
    address="10.0.0.7", path="/ws", query_string=f"token={SECRET}", headers=(("authorization", f"Bearer {SECRET}"),)
)


@final
@define(eq=False)
class Place:
    """A server for a client; each connection has a peer of its own, the last is ``peer``."""

    peers: list[ScriptedPeer] = field(factory=list)
    buffer_messages: int = 64
    """How many messages a connection holds, each way."""

    @property
    def peer(self) -> ScriptedPeer:
        return self.peers[-1]

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Wire]:
        """Stands for ``Dialler.connect``."""
        near, far = memory_wire_pair(buffer_messages=self.buffer_messages, near=PEER)
        peer = ScriptedPeer(far)
        self.peers.append(peer)
        async with open_services() as services:
            services.start_soon(peer.run, name="peer")
            yield near
            near.abort()
            await peer.wait_closed()


def reached(monkeypatch: pytest.MonkeyPatch, places: dict[str, Place]) -> None:
    """Have clients of these addresses connected there."""
    monkeypatch.setattr(WebsocketClientTransport, "_dialler", lambda client: places[client.uri])


def asgi_caller() -> Server:
    """Somebody who calls ``/ws`` of an app, and speaks JSON."""
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/ws",
        "query_string": f"dialect=json&token={SECRET}".encode(),
        "headers": [(b"host", b"127.0.0.1:80"), (b"authorization", f"Bearer {SECRET}".encode())],
        "client": ("10.0.0.7", 5000),
        "subprotocols": [],
    }
    return Server(scope)


async def call(app: Route, caller: Server) -> None:
    """Have the app answer, as its server would."""
    await app(caller.scope, caller.receive, cast("Send", caller.send))
