"""A standalone server for the accepting side of proxy pairs: one proxy, run by the runner, for each client.

Rules
1. What one connection does, its proxy's failure included, ends that connection; it is logged once, the server goes on.
2. Who is not let in (``allowed_origins``, ``authorize``) gets an HTTP status before the upgrade, and there is no proxy.
3. With ``max_connections`` taken, a further client is told 1013.
4. A signal with ``signals=True``, ``leaving.begin()`` and a cancellation end it by the rules of
   ``wire.accepting.leaving``: what waits for a peer is written, and every peer hears 1001 within ``close_timeout``.
5. It ends with its runner: nobody new is accepted, and the runner ends the proxies, as it ends all of its workers.
"""

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, final

import trio
from attrs import define, field

from ..._nursery import open_services
from ...errors import ConnectionClosed, HandshakeRejected
from ...session.events import ServerReady
from ...wire.accepting.admission import Authorize, admit
from ...wire.accepting.leaving import LEAVING, Leaving, serve_connections
from ...wire.accepting.listening import listener_address, open_listeners
from ...wire.accepting.signals import told_by_signals
from ...wire.engines import Engine, engine_named
from ...wire.peer import Peer
from ...wire.protocol import Wire
from ...wire.refusal import Refusal
from ...wire.settings import WireSettings
from ...wire.stream import TCPStream
from ..codec.binary import BUS_SUBPROTOCOL
from ..runner import WorkerRunner
from ..worker import END_TIMEOUT
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
    signals: bool = False,
    drain: float = 0.0,
    leaving: Leaving | None = None,
    engine: str = "direct",
    task_status: trio.TaskStatus[ServerReady] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, told to leave, or the runner ends. ``nursery.start`` gives the addresses once it listens.

    With ``signals=True`` the first SIGTERM or SIGINT (Ctrl-C) tells it to leave, and a second one ends the process.
    ``leaving.begin(seconds)`` on a ``Leaving`` of yours tells it too. Peers that are connected then have ``drain`` or
    that many seconds to go by themselves; the rest is told 1001, and this returns.

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
        leaving=leaving if leaving is not None else Leaving(),
        engine=engine_named(engine),
    )
    with told_by_signals(partial(serving.leaving.begin, drain), is_on=signals):
        await _serve(serving, host, port, ssl_context, task_status)


async def _serve(
    serving: "_Serving",
    host: str | None,
    port: int,
    ssl_context: ssl.SSLContext | None,
    task_status: trio.TaskStatus[ServerReady],
) -> None:
    listeners = await open_listeners(host, port)
    ready = ServerReady(tuple(listener_address(listener) for listener in listeners))
    accepting: list[trio.abc.Listener[TCPStream]] = [
        listener if ssl_context is None else trio.SSLListener(listener, ssl_context, https_compatible=True)
        for listener in listeners
    ]
    async with open_services() as services:
        services.start_soon(_leave_with, serving.runner, serving.leaving, name="serve_proxies leaves with its runner")
        await serve_connections(
            accepting,
            serving.serve_connection,
            serving.leaving,
            close_timeout_s=serving.settings.close_timeout,
            on_listening=lambda: task_status.started(ready),
        )


async def _leave_with(runner: WorkerRunner, leaving: Leaving) -> None:
    """Rule 5. The runner gives its workers ``END_TIMEOUT`` to end."""
    await runner.wait_ending()
    leaving.begin(END_TIMEOUT)


@final
@define(eq=False, kw_only=True)
class _Serving:
    runner: WorkerRunner
    make_proxy: MakeProxy
    admit: Callable[[Peer], Awaitable[Refusal | None]]
    max_connections: int
    settings: ProxySettings
    subprotocols: Sequence[str]
    leaving: Leaving
    engine: Engine
    _connections: int = field(default=0, init=False)

    async def _admit(self, peer: Peer) -> Refusal | None:
        return LEAVING if self.leaving.has_begun else await self.admit(peer)

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
                    proxy = self.make_proxy(wire)
                    with self.leaving.guest(proxy.shut_down):
                        await self.runner.run_worker(proxy)
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
            async with self.engine.accept(
                stream,
                admit=self._admit,
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
