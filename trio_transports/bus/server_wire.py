"""A wire from whatever a server hands to an endpoint."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import trio
import trio_websocket

from .._nursery import open_services
from ..errors import LocalProtocolError
from ..wire.peer import Peer
from ..wire.protocol import Wire
from ..wire.stream import OwnedStream, peer_address
from ..wire.trio_websocket import TrioWebsocketWire
from .proxy import ProxySettings

ServerSide: TypeAlias = trio_websocket.WebSocketRequest | trio_websocket.WebSocketConnection | Wire

_WIRE: Final = ("peer", "receive", "send", "aclose", "abort")


@asynccontextmanager
async def open_server_wire(
    websocket: ServerSide, subprotocols: Sequence[str], settings: ProxySettings
) -> AsyncIterator[Wire]:
    """Make a wire of ``websocket`` for as long as the body runs, and accept it first if nobody has."""
    if isinstance(websocket, trio_websocket.WebSocketRequest):
        chosen = next((name for name in subprotocols if name in websocket.proposed_subprotocols), None)
        websocket = await websocket.accept(subprotocol=chosen)
    if isinstance(websocket, trio_websocket.WebSocketConnection):
        async with _trio_websocket(websocket, settings) as wire:
            yield wire
    elif all(hasattr(websocket, name) for name in _WIRE):
        yield websocket
    else:
        raise LocalProtocolError(
            f"{websocket!r} is not a WebSocket that a proxy knows: pass a Starlette WebSocket, an ASGI "
            "(scope, receive, send), or a trio-websocket request or connection"
        )


@asynccontextmanager
async def _trio_websocket(
    connection: trio_websocket.WebSocketConnection, settings: ProxySettings
) -> AsyncIterator[Wire]:
    # The engine writes to the stream from here on through one whose end can be forced.
    stream = connection._stream
    owned = stream if isinstance(stream, OwnedStream) else OwnedStream(stream)  # type: ignore[arg-type]  # any stream
    owned.opened()
    connection._stream = owned
    address, port = peer_address(owned._stream)
    path, _, query = (connection.path or "/").partition("?")
    peer = Peer(
        address=address,
        port=port,
        path=path,
        query_string=query,
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in connection.handshake_headers
        ),
        subprotocol=connection.subprotocol,
    )
    wire = TrioWebsocketWire(peer, connection, owned)
    try:
        async with open_services() as services:
            if settings.ping_interval is not None:
                interval_s, timeout_s = settings.ping_interval, settings.ping_timeout
                services.start_soon(_keep_alive, wire, interval_s, timeout_s, name="ping")
            yield wire
    finally:
        owned.close()


async def _keep_alive(wire: TrioWebsocketWire, interval_s: float, timeout_s: float) -> None:
    while True:
        await trio.sleep(interval_s)
        with trio.move_on_after(timeout_s) as limit:
            try:
                await wire.ping()
            except trio_websocket.ConnectionClosed:
                return
        if limit.cancelled_caught:
            wire.fail(f"no pong within {timeout_s:g} s of a ping")
            return
