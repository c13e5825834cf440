"""A wire from whatever a server hands to an endpoint."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeAlias, cast, final

import trio
import trio_websocket
from attrs import frozen

from ..._nursery import open_services
from ...errors import ConnectionClosed, LocalProtocolError
from ...wire.asgi import AsgiSource, asgi_wire
from ...wire.peer import Peer
from ...wire.protocol import Wire
from ...wire.stream import OwnedStream, peer_address
from ...wire.trio_websocket import TrioWebsocketWire, keep_alive
from .base import ProxySettings

ServerSide: TypeAlias = AsgiSource | trio_websocket.WebSocketRequest | trio_websocket.WebSocketConnection | Wire

_WIRE: Final = ("peer", "receive", "send", "aclose", "abort")


@asynccontextmanager
async def open_server_wire(
    websocket: ServerSide,
    subprotocols: Sequence[str],
    settings: ProxySettings,
    on_shutdown: Callable[[], Awaitable[object]],
) -> AsyncIterator[Wire]:
    """Make a wire of ``websocket`` for as long as the body runs, and accept it first if nobody has.

    ``on_shutdown`` is called when a server that tells so (``hosting.serve_asgi``) shuts down.
    """
    if isinstance(websocket, trio_websocket.WebSocketRequest):
        chosen = _chosen(subprotocols, websocket.proposed_subprotocols)
        with _within(settings.connect_timeout):
            websocket = await websocket.accept(subprotocol=chosen)
    if isinstance(websocket, trio_websocket.WebSocketConnection):
        async with _trio_websocket(websocket, settings) as wire:
            yield wire
    elif all(hasattr(websocket, name) for name in _WIRE):
        yield cast(Wire, websocket)
    elif isinstance(websocket, tuple) or hasattr(websocket, "scope"):
        async with _asgi(cast(AsgiSource, websocket), subprotocols, settings, on_shutdown) as wire:
            yield wire
    else:
        raise LocalProtocolError(
            f"{websocket!r} is not a WebSocket that a proxy knows: pass a Starlette WebSocket, an ASGI "
            "(scope, receive, send), or a trio-websocket request or connection"
        )


@contextmanager
def _within(timeout_s: float) -> Iterator[None]:
    with trio.move_on_after(timeout_s) as limit:
        yield
    if limit.cancelled_caught:
        raise ConnectionClosed(1006, "the handshake took longer than connect_timeout", initiator="local")


def _chosen(ours: Sequence[str], offered: Sequence[str]) -> str | None:
    return next((name for name in ours if name in offered), None)


@asynccontextmanager
async def _asgi(
    source: AsgiSource,
    subprotocols: Sequence[str],
    settings: ProxySettings,
    on_shutdown: Callable[[], Awaitable[object]],
) -> AsyncIterator[Wire]:
    wire = asgi_wire(source, max_message_bytes=settings.max_message_bytes)
    try:
        if not wire.is_accepted:
            with _within(settings.connect_timeout):
                await wire.accept(_chosen(subprotocols, wire.offered_subprotocols))
        if wire.server is None:
            yield wire
            return
        if settings.ping_interval is not None:
            wire.server.keep_alive(settings.ping_interval, settings.ping_timeout)
        forget = wire.server.on_shutdown(on_shutdown)
        try:
            yield wire
        finally:
            forget()
    finally:
        wire.abort()


@final
@frozen(eq=False)
class _EngineSide(trio.abc.Stream):
    """The engine's view of an owned stream.

    After a message over the limit the wire reads on for a moment, and the engine too, once more: it finds the end of
    the stream then, since an error would come out of its task, and end the server whose nursery that is in.
    """

    _owned: OwnedStream

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            return await self._owned.receive_some(max_bytes)
        except trio.BusyResourceError:
            return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._owned.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._owned.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._owned.aclose()


@asynccontextmanager
async def _trio_websocket(
    connection: trio_websocket.WebSocketConnection, settings: ProxySettings
) -> AsyncIterator[Wire]:
    # The engine uses the stream from here on through one whose end can be forced.
    owned = OwnedStream(connection._stream)  # type: ignore[arg-type]  # any stream over a socket
    owned.opened()
    connection._stream = _EngineSide(owned)
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
                services.start_soon(keep_alive, wire, interval_s, timeout_s, name="ping")
            yield wire
    finally:
        owned.close()
