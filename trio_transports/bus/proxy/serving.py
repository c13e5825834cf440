"""A standalone server for the accepting side of proxy pairs: one proxy, run by the runner, for each client.

Rules
1. What one connection does, its proxy's failure included, ends that connection; it is logged once, the server goes on.
2. Who gets in is ``wire.accepting.door``'s business: who does not gets an HTTP status before the upgrade, and no proxy.
3. With ``max_connections`` taken, a further client is told 1013.
4. A signal with ``signals=True``, ``leaving.begin()`` and a cancellation end it by the rules of
   ``wire.accepting.leaving``: what waits for a peer is written, and every peer hears 1001 within ``close_timeout``.
5. It ends with its runner: nobody new is accepted, and the runner ends the proxies, as it ends all of its workers.
"""

import ssl
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final, final

import trio
from attrs import define, field

from ..._nursery import open_services
from ...session.events import ServerReady
from ...wire.accepting.admission import Authorize
from ...wire.accepting.callers import CallerCounts
from ...wire.accepting.door import Door, DoorRules
from ...wire.accepting.leaving import GOING_AWAY, Leaving, check_drain
from ...wire.accepting.limits import AddressLimits
from ...wire.accepting.signals import told_by_signals
from ...wire.engines import engine_named
from ...wire.protocol import Wire
from ...wire.running import MAIN_WAYS_OUT, require_trio
from ..codec.binary import BUS_SUBPROTOCOL
from ..runner import WorkerRunner
from ..worker import END_TIMEOUT
from .base import ProxySettings
from .server import WebSocketProxyServer

MakeProxy = Callable[[Wire], WebSocketProxyServer]
MAX_CONNECTIONS: Final = 1000


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
    limits: AddressLimits | None = None,
    max_messages_per_second: float | None = None,
    max_bytes_per_second: float | None = None,
    signals: bool = False,
    drain: float = 0.0,
    leaving: Leaving | None = None,
    counts: CallerCounts | None = None,
    engine: str = "direct",
    task_status: trio.TaskStatus[ServerReady] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, told to leave, or the runner ends. ``nursery.start`` gives the addresses once it listens.

    With ``signals=True`` the first SIGTERM or SIGINT (Ctrl-C) tells it to leave, and a second one ends the process.
    ``leaving.begin(seconds)`` on a ``Leaving`` of yours tells it too. Peers that are connected then have ``drain`` or
    that many seconds to go by themselves; the rest is told 1001, and this returns.

    ``limits`` are for each address, ``max_messages_per_second`` and ``max_bytes_per_second`` for each connection: a
    peer that sends more is told 1008. ``counts``, a ``CallerCounts`` of yours, tells by ``callers()`` who came, who was
    let in, and why others were not. ``GET /health`` is answered with 200, and with 503 once the server leaves.

    ``make_proxy`` is given each connection; ``wire.peer`` says who it is, by path, query, headers and address. The
    names of proxies that live at the same time must differ: ``f"gateway {wire.peer}"`` does. Proxies with a serializer
    of their own need ``subprotocols=()``.

    It listens at ``host`` (None: at every address) and ``port`` (0: a free one), with TLS by ``ssl_context``.
    Browsers are let in from ``allowed_origins`` only, and others as ``authorize`` says; ``max_connections`` at once.
    ``settings`` are each connection's limits, and ``engine`` is "direct" or "trio-websocket".
    """
    require_trio("serve_proxies", MAIN_WAYS_OUT)
    check_drain(drain)
    settings = settings if settings is not None else ProxySettings()
    serving = _Serving(
        runner=runner,
        make_proxy=make_proxy,
        max_connections=max_connections,
        close_timeout_s=settings.close_timeout,
        leaving=leaving if leaving is not None else Leaving(),
    )
    rules = DoorRules(
        connect_timeout_s=settings.connect_timeout,
        close_timeout_s=settings.close_timeout,
        wires=settings.wires,
        allowed_origins=allowed_origins,
        authorize=authorize,
        subprotocols=subprotocols,
        limits=limits if limits is not None else AddressLimits(),
        max_messages_per_second=max_messages_per_second,
        max_bytes_per_second=max_bytes_per_second,
    )
    door = Door(rules, engine_named(engine), lambda: serving.is_full, counts if counts is not None else CallerCounts())
    with told_by_signals(partial(serving.leaving.begin, drain), is_on=signals):
        async with open_services() as services:
            services.start_soon(_leave_with, runner, serving.leaving, name="serve_proxies leaves with its runner")
            await door.serve(
                serving.serve_wire,
                serving.leaving,
                host=host,
                port=port,
                ssl_context=ssl_context,
                on_listening=lambda addresses: task_status.started(ServerReady(addresses)),
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
    max_connections: int
    close_timeout_s: float
    leaving: Leaving
    _connections: int = field(default=0, init=False)

    @property
    def is_full(self) -> bool:
        return self._connections >= self.max_connections

    async def serve_wire(self, wire: Wire) -> None:
        """Run a proxy for one connection until that ends; a runner that is ending says goodbye at once."""
        if self.runner.is_ending:  # rule 5, for who came at the last moment
            with trio.move_on_after(self.close_timeout_s):
                await wire.aclose(*GOING_AWAY)
            return
        self._connections += 1
        try:
            proxy = self.make_proxy(wire)
            with self.leaving.guest(proxy.shut_down):
                await self.runner.run_worker(proxy)
        finally:
            self._connections -= 1
