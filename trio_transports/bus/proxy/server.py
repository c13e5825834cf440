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
from typing import final

import trio
from attrs import define, field

from ..._documented import documented
from ...errors import ConnectionClosed
from ...wire.accepting.handed import Handed, handed_wire
from .base import Proxy

logger = logging.getLogger(__name__)


@documented
@final
@define(eq=False, repr=False, slots=False)
class WebSocketProxyServer(Proxy):
    """The accepting side of a proxy, for one client: give it to a runner, or see ``serve_proxies``."""

    lives_with_caller = True
    """True: it ends with the endpoint that it was given to."""

    _websocket: Handed = field(alias="websocket", kw_only=True)
    """The client's connection: a ``Wire``, or the WebSocket of a framework."""

    async def main(self) -> None:
        with self._events.activity():
            self.watch(self._local)
            try:
                async with handed_wire(
                    self._websocket,
                    subprotocols=self._subprotocols,
                    settings=self._settings.wires,
                    connect_timeout_s=self._settings.connect_timeout,
                    on_shutdown=self.shut_down,
                ) as wire:
                    await self._serve(wire)
            except ConnectionClosed as exc:
                logger.info("%s: the client was gone before the handshake ended: %s", self.name, exc)
            finally:
                self.registry._unvouch(self.name)

    def _vouch(self, runner: str) -> bool:
        return self.registry._vouch(self.name, runner, self._remote)

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
