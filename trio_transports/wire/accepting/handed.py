"""A wire from whatever somebody else's server hands to an endpoint: ASGI, trio-websocket, or a wire as it is."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeAlias, cast, final

import trio
import trio_websocket
from attrs import frozen

from ..._nursery import open_services
from ...errors import ConnectionClosed, LocalProtocolError
from ..asgi import AsgiSource, ServerConnection, asgi_wire
from ..handshake_failures import decoded
from ..peer import Peer
from ..protocol import Wire
from ..settings import WireSettings
from ..stream import OwnedStream, peer_address
from ..trio_websocket import TrioWebsocketWire, keep_alive

Handed: TypeAlias = AsgiSource | trio_websocket.WebSocketRequest | trio_websocket.WebSocketConnection | Wire

_WIRE: Final = ("peer", "receive", "send", "aclose", "abort")


@asynccontextmanager
async def handed_wire(
    websocket: Handed,
    *,
    subprotocols: Sequence[str],
    settings: WireSettings,
    connect_timeout_s: float,
    on_shutdown: Callable[[], Awaitable[object]],
) -> AsyncIterator[Wire]:
    """Make a wire of ``websocket`` for as long as the body runs, and accept it first if nobody has.

    ``on_shutdown`` is called when a server that tells so (``hosting.serve_asgi``) shuts down.
    """
    headers: Iterable[tuple[bytes, bytes]] | None = None
    if isinstance(websocket, trio_websocket.WebSocketRequest):
        headers = websocket.headers  # which a server's connection does not know any more
        with _within(connect_timeout_s):
            websocket = await websocket.accept(subprotocol=_chosen(subprotocols, websocket.proposed_subprotocols))
    if isinstance(websocket, trio_websocket.WebSocketConnection):
        async with _trio_websocket(websocket, settings, headers or websocket.handshake_headers) as wire:
            yield wire
    elif all(hasattr(websocket, name) for name in _WIRE):
        yield cast(Wire, websocket)
    elif isinstance(websocket, tuple) or hasattr(websocket, "scope"):
        wire = asgi_wire(cast(AsgiSource, websocket), max_message_bytes=settings.max_message_bytes)
        try:
            if not wire.is_accepted:
                with _within(connect_timeout_s):
                    await wire.accept(_chosen(subprotocols, wire.offered_subprotocols))
            with _served(wire.server, settings, on_shutdown):
                yield wire
        finally:
            wire.abort()
    else:
        raise LocalProtocolError(
            f"{websocket!r} is not a WebSocket that is known here: pass a Starlette WebSocket, an ASGI "
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


@contextmanager
def _served(
    server: ServerConnection | None, settings: WireSettings, on_shutdown: Callable[[], Awaitable[object]]
) -> Iterator[None]:
    """Have a server of ours keep the connection alive, and say when it shuts down; another one has its own ways."""
    if server is None:
        yield
        return
    if settings.ping_interval_s is not None:
        server.keep_alive(settings.ping_interval_s, settings.ping_timeout_s)
    forget = server.on_shutdown(on_shutdown)
    try:
        yield
    finally:
        forget()


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
    connection: trio_websocket.WebSocketConnection, settings: WireSettings, headers: Iterable[tuple[bytes, bytes]]
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
        headers=decoded(headers),
        subprotocol=connection.subprotocol,
    )
    wire = TrioWebsocketWire(peer, connection, owned)
    try:
        async with open_services() as services:
            if settings.ping_interval_s is not None:
                services.start_soon(keep_alive, wire, settings.ping_interval_s, settings.ping_timeout_s, name="ping")
            yield wire
    finally:
        owned.close()
