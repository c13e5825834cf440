"""The server: hypercorn's trio worker, written so that no connection can end it, hold it, or be lost by it.

Rules
1. Sockets are bound before the app's lifespan begins: a port that is taken costs no startup.
2. A shutdown (a signal, the trigger returned, ``max_requests`` was reached, Ctrl-C) first lets calls under way finish
   for ``drain`` seconds. New ones get 503 meanwhile; plain requests are still served, and find that the server leaves
   (``is_leaving``), so that a health check can tell. Then accepting stops, every session of the app is told, and
   ``graceful_timeout`` is waited for them. What runs then is cancelled, and after ``_LAST_S`` more the sockets go.
3. A cancellation from outside is a shutdown without the waiting: the app's runs are cancelled at once. What each does
   in a shield of its own (a session says 1001) still has its connection, for ``graceful_timeout`` at most.
4. The lifespan of the app outlives its connections, in both.
5. A server that retires has a successor on the same socket, which stays open elsewhere. It stops accepting, lets in
   whom it has accepted, and ends when the last call has: nobody is refused, and nobody is cut off.
"""

import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import inf
from random import randint
from typing import Any, Final, TypeAlias, cast, final

import trio
from attrs import define, field
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.statsd import StatsdLogger
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIFramework
from hypercorn.utils import wrap_app

from .._nursery import open_services
from ..wire.accepting.door import MAX_REFUSING
from ..wire.accepting.leaving import check_drain
from ..wire.accepting.limits import Addresses, AddressLimits
from ..wire.accepting.listening import accept_from
from ..wire.accepting.signals import told_by_signals
from ..wire.closing import linger
from ..wire.refusal import Refusal
from ..wire.running import MAIN_WAYS_OUT, require_trio
from ..wire.stream import OwnedStream, peer_address
from ..wire.wakes import SharedWakes, shared_wakes
from .access_log import guard_access_log
from .binding import bound_sockets, listeners_of, tell_if_everywhere
from .connection import Connection
from .counting import Counting
from .host import Host, Limits
from .leaving import LeavingNotice

_LAST_S: Final = 0.5

AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
ShutdownTrigger: TypeAlias = Callable[[], Awaitable[object]]


# What it leans on of hypercorn, beyond its public API (``pyproject.toml`` pins the range, and
# ``tests/real/asgi/test_asgi_hypercorn_names.py`` fails when one of them changes):
#
# - ``hypercorn.protocol.h11``: the two exceptions with which it asks for HTTP/2, and of ``H11Protocol``: ``stream``,
#   ``connection``, ``_check_protocol``, ``_create_stream`` and ``_send_h11_event``
# - that a task group is ``spawn_app`` and ``spawn``
# - ``hypercorn.protocol.ws_stream``: ``Handshake``, ``ASGIWebsocketState``, and of ``WSStream``: ``scope``,
#   ``handshake``, ``buffer`` with its ``max_length``, ``connection``, ``state``, ``closed``, ``stream_id``, ``send``,
#   and that ``app_send`` is a bound method (also ``HTTPStream``'s); that a ping is answered with its ``response()``
# - ``hypercorn.protocol.h2``: ``StreamBuffer``, and of ``H2Protocol``: ``connection``, ``streams``,
#   ``stream_buffers``, ``_handle_events`` and ``_flush``
# - ``hypercorn.protocol.events.Data``; ``hypercorn.events``
# - ``hypercorn.trio``: ``lifespan.Lifespan``, ``worker_context.WorkerContext``, ``statsd.StatsdLogger``
# - ``hypercorn.utils``: ``wrap_app``, ``parse_socket_addr``, ``repr_socket_addr``
# - ``hypercorn.logging.Logger``: that a request is told by its ``access(scope, response, seconds)``
# - ``hypercorn.config.Config``: ``create_sockets`` (and its frames' ``bind`` and sockets where it fails),
#   ``create_ssl_context``, ``set_statsd_logger_class``
# - of what comes with hypercorn: ``wsproto``'s connection and events, ``h2``'s errors, events and exceptions, and
#   of its connection ``incoming_buffer``, with the bytes of an unfinished frame as ``_data``
async def serve_asgi(
    app: AsgiApp,
    config: Config,
    *,
    shutdown_trigger: ShutdownTrigger | None = None,
    retire_trigger: ShutdownTrigger | None = None,
    signals: bool = False,
    drain: float = 0.0,
    h2: bool = True,
    h2c: bool = False,
    header_timeout: float = 10.0,
    body_timeout: float = 30.0,
    write_timeout: float = 10.0,
    max_connections_per_address: int | None = None,
    max_handshakes_per_second: float | None = None,
    share_wakes: bool = True,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` as ``hypercorn.trio.serve`` does, guarded against what that does not survive.

    ``started`` gives the addresses, as hypercorn's does: ``["http://127.0.0.1:8000"]``, with the ports really bound.
    A peer must be through with the head of a request (and with its TLS handshake) within ``header_timeout``, has
    ``body_timeout`` for a body and a second more for each kB of it that comes, and may leave 64 kB unread for
    ``write_timeout``: past these its connection ends. ``h2=False`` leaves HTTP/2 out of what is agreed on over TLS;
    ``h2c=True`` takes it on connections without TLS too. An address that has ``max_connections_per_address`` already
    gets 429 for a further one, and so does one that opens more than ``max_handshakes_per_second``, whatever it asks
    for on them; behind a proxy every caller has the proxy's.

    While more than 15 connections are heard in 20 ms, what comes within 2 ms is read at one waking of the process:
    less CPU for each, a millisecond more on the way. ``share_wakes=False`` turns that off.

    Returns when the server has been shut down: by the first SIGTERM or SIGINT (Ctrl-C) with ``signals=True``, by
    ``shutdown_trigger`` returning, by ``config.max_requests``. Calls under way then have ``drain`` seconds to finish;
    the rest is told 1001, and what is queued leaves within each session's ``close_timeout``. A second signal ends the
    process at once. Cancelling it also lets sessions say goodbye, without that time, and takes
    ``config.graceful_timeout`` at most, but the app's lifespan is cancelled then instead of told to shut down. Without
    ``signals`` Ctrl-C is a shutdown where trio's main task awaits this; in a nursery it is a cancellation.

    Where another process listens on the same socket already (``config.bind`` with ``fd://``), ``retire_trigger``
    returning has this one stop accepting and return when its last call has ended, however long that takes.

    Every field of hypercorn's ``Config`` that its trio worker reads works, but ``quic_bind``: HTTP/3 is refused with a
    ValueError. The ``accesslog`` shows no query, and escapes what would be a line of a caller's own. permessage-deflate
    is never agreed on. ``workers`` above 1 lets that many processes bind the same address; starting them is up to you
    (``demo.workers_app`` shows how).
    """
    require_trio("serve_asgi", MAIN_WAYS_OUT)
    _check(config)
    limits = {"write_timeout": write_timeout, "header_timeout": header_timeout, "body_timeout": body_timeout}
    for name, seconds in limits.items():
        if not seconds > 0:
            raise ValueError(f"{name} must be above 0, not {seconds!r}")
    if max_connections_per_address is not None and max_connections_per_address < 1:
        raise ValueError(f"max_connections_per_address must be 1 or more, or None, not {max_connections_per_address!r}")
    if max_handshakes_per_second is not None and not 0 < max_handshakes_per_second < inf:
        raise ValueError(f"max_handshakes_per_second must be above 0, or None, not {max_handshakes_per_second!r}")
    check_drain(drain)
    config.set_statsd_logger_class(StatsdLogger)
    guard_access_log(config)
    max_requests = config.max_requests
    host = Host(
        app=wrap_app(cast(ASGIFramework, app), config.wsgi_max_body_size, "asgi"),
        config=config,
        context=WorkerContext(None if max_requests is None else max_requests + randint(0, config.max_requests_jitter)),
        state={},
        ssl_context=_ssl_context(config, takes_h2=h2),
        limits=Limits(
            write_timeout_s=write_timeout,
            header_timeout_s=header_timeout,
            body_timeout_s=body_timeout,
            takes_h2c=h2c,
        ),
        leaving=LeavingNotice(),
        counting=Counting(),
    )
    told = trio.Event()
    with told_by_signals(told.set, is_on=signals), bound_sockets(config) as sockets:
        async with (
            _lifespan(host.counting.announced(host.app), config, host.state),
            shared_wakes(share_wakes) as wakes,
            open_services() as services,
        ):
            taken = AddressLimits(
                max_connections_per_address=max_connections_per_address,
                max_handshakes_per_second=max_handshakes_per_second,
            )
            server = _Server(host, None if taken == AddressLimits() else Addresses(taken), wakes)
            listeners, addresses = listeners_of(sockets, config.backlog)
            tell_if_everywhere(config, sockets)
            services.start_soon(server.run, listeners, name="trio_transports.hosting connections")
            if retire_trigger is not None:
                services.start_soon(_retire, server, retire_trigger, told, name="trio_transports.hosting retirement")
            for address in addresses:
                await config.log.info("Running on %s (CTRL + C to quit)", address)
            task_status.started(addresses)
            is_cancelled = True
            try:
                await _told_to_stop(shutdown_trigger, host.context, told)
                is_cancelled = False
            except KeyboardInterrupt:  # as hypercorn: Ctrl-C is a shutdown
                is_cancelled = False
            finally:
                with trio.CancelScope(shield=True):
                    if not is_cancelled:
                        await server.drain(drain)
                    await server.stop(at_once=is_cancelled)


def _check(config: Config) -> None:
    if config.quic_bind:
        raise ValueError("serve_asgi does not serve HTTP/3: leave config.quic_bind empty")
    for name, default in (("debug", False), ("use_reloader", False)):
        if getattr(config, name) != default:
            warnings.warn(f"config.{name} has no effect on serve_asgi", RuntimeWarning, stacklevel=3)


def _ssl_context(config: Config, *, takes_h2: bool) -> ssl.SSLContext | None:
    context = config.create_ssl_context()
    if context is not None and not takes_h2:
        context.set_alpn_protocols([name for name in config.alpn_protocols if name != "h2"])
    return context


@asynccontextmanager
async def _lifespan(app: AppWrapper, config: Config, state: dict[str, Any]) -> AsyncIterator[None]:
    lifespan = Lifespan(app, config, state)
    # An app that returns at once from its lifespan has closed hypercorn's channels before they are first used.
    is_gone = (trio.ClosedResourceError, trio.BrokenResourceError)
    async with open_services() as services:
        services.start_soon(lifespan.handle_lifespan, name="trio_transports.hosting lifespan")
        with suppress(*is_gone):
            await lifespan.wait_for_startup()
        yield
        with suppress(*is_gone):
            await lifespan.wait_for_shutdown()


async def _told_to_stop(
    shutdown_trigger: ShutdownTrigger | None, context: WorkerContext, signalled: trio.Event
) -> None:
    with trio.CancelScope() as told:

        async def watch(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            told.cancel()

        async with open_services() as services:
            services.start_soon(watch, context.terminate.wait, name="trio_transports.hosting max_requests")
            services.start_soon(watch, signalled.wait, name="trio_transports.hosting signals")
            await (shutdown_trigger or trio.sleep_forever)()


async def _retire(server: "_Server", trigger: ShutdownTrigger, retired: trio.Event) -> None:
    await trigger()
    await server.retire()
    retired.set()


@final
@define(eq=False)
class _Server:
    _host: Host
    _addresses: Addresses | None
    """None: an address may have as many connections as it likes, and is not remembered."""
    _wakes: SharedWakes | None
    _refusing: int = field(default=0, init=False)
    _connections: set[Connection] = field(factory=set, init=False)
    _accepting: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _is_retiring: bool = field(default=False, init=False)
    _is_stopping: bool = field(default=False, init=False)
    _ended: trio.Event = field(factory=trio.Event, init=False)

    async def run(self, listeners: list[tuple[trio.SocketListener, bool]]) -> None:
        """Accept until ``stop``, and end when the last connection has."""
        try:
            async with trio.open_nursery() as connections:
                with self._accepting:
                    async with trio.open_nursery() as accepting:
                        for listener, is_secure in listeners:
                            accepting.start_soon(accept_from, listener, partial(self._take, connections, is_secure))
        finally:
            self._ended.set()

    def _take(self, connections: trio.Nursery, is_secure: bool, stream: trio.SocketStream) -> None:
        connections.start_soon(self._serve_connection, is_secure, stream, name="trio_transports.hosting connection")

    async def drain(self, seconds: float) -> None:
        """Let calls under way finish, and nobody begin another."""
        self._host.leaving.is_leaving = True
        with trio.move_on_after(seconds):
            while any(connection.has_calls for connection in self._connections):
                await self._host.leaving.call_ended.park()

    async def retire(self) -> None:
        """Accept nobody more, and wait until everybody accepted has gone; rule 5."""
        self._is_retiring = True
        self._accepting.cancel()
        for connection in tuple(self._connections):
            connection.retire()
        await self._ended.wait()

    async def stop(self, *, at_once: bool) -> None:
        """Accept nobody more, and return when every connection has ended or its time is up."""
        self._is_stopping = True
        self._accepting.cancel()
        await self._host.context.terminated.set()
        graceful_timeout_s = self._host.config.graceful_timeout
        for connection in tuple(self._connections):
            connection.shut_down()
        if not at_once:
            with trio.move_on_after(graceful_timeout_s):
                await self._ended.wait()
        for connection in tuple(self._connections):
            connection.cancel_apps()
        with trio.move_on_after(graceful_timeout_s if at_once else _LAST_S):
            await self._ended.wait()

    async def _serve_connection(self, is_secure: bool, stream: trio.SocketStream) -> None:
        self._host.counting.connections += 1
        try:
            if not self._is_stopping:
                await self._serve_counted(is_secure, stream)
        finally:
            self._host.counting.connections -= 1
            stream.socket.close()

    async def _serve_counted(self, is_secure: bool, stream: trio.SocketStream) -> None:
        guarded = OwnedStream(stream, write_timeout_s=self._host.limits.write_timeout_s)
        guarded.opened(self._wakes)  # hypercorn bounds what a request's head may be
        if self._addresses is None:
            await self._run(Connection(self._host, guarded, is_secure))
            return
        with self._addresses.connection(peer_address(stream)[0]) as refusal:
            if refusal is None:
                await self._run(Connection(self._host, guarded, is_secure))
            elif self._refusing >= MAX_REFUSING:
                self._host.counting.refuse("unheard")
                guarded.close()  # each of these would keep a descriptor while it reads why
            else:
                self._refusing += 1
                self._host.counting.refuse("limit")
                try:
                    await _turn_away(guarded, refusal, is_secure=is_secure)
                finally:
                    self._refusing -= 1

    async def _run(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._is_retiring:
            connection.retire()
        try:
            await connection.run()
        finally:
            self._connections.remove(connection)


async def _turn_away(stream: OwnedStream, refusal: Refusal, *, is_secure: bool) -> None:
    """Answer before anything is read: a caller over TLS, which that would cost a handshake, finds it closed."""
    if not is_secure:
        headers = "".join(f"{name}: {value}\r\n" for name, value in refusal.headers)
        head = f"HTTP/1.1 {refusal.status} Too Many Requests\r\n{headers}Connection: close\r\n"
        answer = f"{head}Content-Length: {len(refusal.body)}\r\n\r\n{refusal.body}".encode()
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await stream.send_all(answer)
            await linger(stream)
    stream.close()
