"""A standalone server for the accepting side of proxy pairs: one proxy, run by the runner, for each client.

Rules
1. What one connection does, its proxy's failure included, ends that connection; it is logged once, the server goes on.
2. Who is not let in (``allowed_origins``, ``authorize``) gets an HTTP status before the upgrade, and there is no proxy.
3. With ``max_connections`` taken, a further client is told 1013.
4. Cancelling it ends every connection with 1001 within ``close_timeout``.
5. It ends with its runner: nobody new is accepted, and the runner ends the proxies, as it ends all of its workers.
"""

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, final

import trio
from attrs import define, field

from ...errors import ConnectionClosed, HandshakeRejected
from ...session.events import ServerReady
from ...transports.admission import Authorize, admit
from ...transports.listening import listener_address, open_listeners
from ...wire.peer import Peer
from ...wire.protocol import Wire
from ...wire.settings import WireSettings
from ...wire.stream import TCPStream
from ...wire.trio_websocket import accept_wire
from ..codec.binary import BUS_SUBPROTOCOL
from ..runner import WorkerRunner
from .base import ProxySettings
from .server import WebSocketProxyServer

MakeProxy = Callable[[Wire], WebSocketProxyServer]
MAX_CONNECTIONS: Final = 1000

log = logging.getLogger(__name__)


async def serve_proxies(
    runner: WorkerRunner,
    make_proxy: MakeProxy,
    *,
    host: str | None = "localhost",
    port: int = 0,
    allowed_origins: Collection[str] | None = None,
    authorize: Authorize | None = None,
    ssl_context: ssl.SSLContext | None = None,
    max_connections: int = MAX_CONNECTIONS,
    settings: ProxySettings | None = None,
    subprotocols: Sequence[str] = (BUS_SUBPROTOCOL,),
    task_status: trio.TaskStatus[ServerReady] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, or until the runner ends. ``nursery.start`` gives back the addresses once it listens.

    ``make_proxy`` is given each connection; ``wire.peer`` says who it is, by path, query, headers and address. The
    names of proxies that live at the same time must differ: ``f"gateway {wire.peer}"`` does. Proxies with a serializer
    of their own need ``subprotocols=()``.
    """
    serving = _Serving(
        runner=runner,
        make_proxy=make_proxy,
        admit=partial(admit, allowed_origins=allowed_origins, authorize=authorize),
        max_connections=max_connections,
        settings=settings if settings is not None else ProxySettings(),
        subprotocols=subprotocols,
    )
    listeners = await open_listeners(host, port)
    ready = ServerReady(tuple(listener_address(listener) for listener in listeners))
    accepting: list[trio.abc.Listener[TCPStream]] = [
        listener if ssl_context is None else trio.SSLListener(listener, ssl_context, https_compatible=True)
        for listener in listeners
    ]
    async with trio.open_nursery() as connections, trio.open_nursery() as nursery:
        await nursery.start(
            partial(trio.serve_listeners, serving.serve_connection, accepting, handler_nursery=connections)
        )
        task_status.started(ready)
        await runner.wait_ending()
        nursery.cancel_scope.cancel()


@final
@define(eq=False, kw_only=True)
class _Serving:
    runner: WorkerRunner
    make_proxy: MakeProxy
    admit: Callable[[Peer], Awaitable[Any]]
    max_connections: int
    settings: ProxySettings
    subprotocols: Sequence[str]
    _connections: int = field(default=0, init=False)

    async def serve_connection(self, stream: TCPStream) -> None:
        try:
            async with self._accepted(stream) as wire:
                refusal = self._refusal()
                if refusal is not None:
                    with trio.move_on_after(self.settings.close_timeout):
                        await wire.aclose(*refusal)
                    return
                self._connections += 1
                try:
                    await self.runner.run_worker(self.make_proxy(wire))
                finally:
                    self._connections -= 1
        except HandshakeRejected as exc:
            log.info("a client was refused: %s", exc)
        except ConnectionClosed as exc:
            log.debug("a connection ended: %s", exc)
        except Exception:  # the boundary between one connection and the server
            log.exception("a proxy failed; its connection has ended, the server goes on")

    def _refusal(self) -> tuple[int, str] | None:
        if self.runner.is_ending:
            return 1001, "the server is shutting down"
        if self._connections >= self.max_connections:
            return 1013, "the server is full: try again later"
        return None

    @asynccontextmanager
    async def _accepted(self, stream: TCPStream) -> AsyncIterator[Wire]:
        """Upgrade within ``connect_timeout``, which does not reach into the body."""
        settings = self.settings
        with trio.CancelScope(deadline=trio.current_time() + settings.connect_timeout) as limit:
            async with accept_wire(
                stream,
                admit=self.admit,
                subprotocols=self.subprotocols,
                settings=WireSettings(
                    max_message_bytes=settings.max_message_bytes,
                    ping_interval_s=settings.ping_interval,
                    ping_timeout_s=settings.ping_timeout,
                ),
            ) as wire:
                limit.deadline = float("inf")
                yield wire
        if limit.cancelled_caught:
            raise ConnectionClosed(1006, "the handshake took longer than connect_timeout", initiator="local")
