"""The accepting side of a proxy pair: one worker for each connection, over whatever server accepted it.

Rules
1. The WebSocket may be a Starlette or FastAPI ``WebSocket``, a raw ASGI ``(scope, receive, send)``, a trio-websocket
   request or server connection, or a ``Wire``.
2. One that is not accepted yet is accepted here, with the subprotocol if the client offers it. One that the app has
   accepted itself goes on with what was agreed then, as far as the server tells; a Starlette ``WebSocket`` does not, so
   to have audio in binary there leave the accepting to the proxy.
3. The worker lives as long as the connection. ``await runner.run_worker(proxy)`` in the endpoint that owns it;
   ``add_worker(proxy)`` does the same.
"""

import logging
from collections.abc import Sequence
from typing import final

import trio

from ...errors import ConnectionClosed
from ..codec.json import MessageSerializer
from ..messages import BusMessage
from .base import Proxy, ProxySettings
from .server_wire import ServerSide, open_server_wire

log = logging.getLogger(__name__)


@final
class WebSocketProxyServer(Proxy):
    lives_with_caller = True

    def __init__(
        self,
        name: str,
        *,
        websocket: ServerSide,
        worker_name: str,
        remote_worker_name: str,
        forward_messages: Sequence[type[BusMessage]] = (),
        accepts_lifecycle: Sequence[type[BusMessage]] = (),
        serializer: MessageSerializer | None = None,
        settings: ProxySettings | None = None,
    ) -> None:
        super().__init__(
            name,
            local=worker_name,
            remote=remote_worker_name,
            forward_messages=forward_messages,
            accepts_lifecycle=accepts_lifecycle,
            serializer=serializer,
            settings=settings,
        )
        self._websocket = websocket

    async def main(self) -> None:
        with self._events.activity():
            self.watch(self._local)
            try:
                async with open_server_wire(
                    self._websocket, self._subprotocols, self._settings, self.shut_down
                ) as wire:
                    await self._serve(wire)
            except ConnectionClosed as exc:
                log.info("%s: the client was gone before the handshake ended: %s", self.name, exc)

    async def shut_down(self) -> None:
        """The server that holds the connection shuts down: write what waits, say goodbye, and end.

        Cancelled, it says goodbye without writing what waits.
        """
        try:
            if self._link is not None:
                with trio.move_on_after(self._settings.close_timeout):
                    await self._link.finish("the server is shutting down", code=1001)
        finally:
            self.stop()
