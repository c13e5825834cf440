"""Connections to a Redis server: one for each task that needs one, made anew when it is lost.

Rules
1. A connection is opened and closed around the code that uses it, with a pool of its own: a pool that lives longer
   gives away a place for each connection that dies in use, and after 64 of them waits for ever.
2. Every reply has a deadline. A connection that misses one is lost.
3. The stream is connected before coredis has anything to do with it: an attempt of its own that fails it logs with a
   traceback, each time, and leaves streams unclosed.
4. ``keep_connected`` runs its user on one connection after another, with backoff between them. Until the first one
   was made a refusal that is not a lost connection (a wrong password) is raised; later it is waited out too.
"""

import logging
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any, Final, TypeAlias, final
from urllib.parse import urlsplit

import trio
from attrs import define, evolve, field, frozen

from ..._extras import require
from ...errors import TransportError
from ...params import ReconnectPolicy
from .address import HostPort, ServerAddresses

require("coredis", extra="redis", needed_by="trio_transports.bus.redis")

from anyio import CapacityLimiter, aclose_forcefully, connect_tcp, connect_unix  # noqa: E402
from anyio.abc import ByteStream  # noqa: E402
from coredis import BaseConnection, ConnectionPool  # noqa: E402
from coredis import exceptions as coredis_exceptions  # noqa: E402
from coredis.connection import TCPLocation, UnixDomainSocketLocation  # noqa: E402

RedisError = coredis_exceptions.RedisError
GroupExistsError = coredis_exceptions.StreamDuplicateConsumerGroupError
ReadOnlyError = coredis_exceptions.ReadOnlyError
NoGroupError = coredis_exceptions.StreamConsumerGroupError
LOST: Final = (
    coredis_exceptions.ConnectionError,
    coredis_exceptions.BusyLoadingError,
    coredis_exceptions.ReadOnlyError,
    coredis_exceptions.MovedError,
    OSError,
)
"""What says that the connection is gone, or not there yet, or leads to a server that another has taken over from.

A late reply is the builtin TimeoutError, an OSError.
"""

_FOR_NOW: Final = ("OOM", "MISCONF", "NOREPLICAS", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN")


def is_refused_for_now(error: RedisError) -> bool:
    """Whether the server may take the same command later: it has no memory, no disk, or too few replicas just now."""
    return str(error).lstrip("-").startswith(_FOR_NOW) or isinstance(
        error, coredis_exceptions.ClusterDownError | coredis_exceptions.TryAgainError
    )


STABLE_S: Final = 1.0

Argument: TypeAlias = bytes | str | int

logger = logging.getLogger(__name__)


@final
@frozen(kw_only=True)
class RedisServer:
    url: str
    connect_timeout: float
    reply_timeout: float
    policy: ReconnectPolicy
    addresses: ServerAddresses = field(factory=ServerAddresses)

    def __str__(self) -> str:
        if not self.addresses.is_fixed:
            return f"Redis, {self.addresses}"
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or 6379}{parts.path}"  # without the password


@final
@define(eq=False)
class RedisConnection:
    """One connection, used by one task."""

    _connection: BaseConnection
    _budget: CapacityLimiter

    def request(self, *command: Argument, timeout_s: float | None = None) -> Awaitable[Any]:
        """Send a command at once; await what is returned for the reply, in the order of the requests."""
        name, *arguments = command
        return self._connection.create_request(
            name if isinstance(name, bytes) else str(name).encode(), *arguments, timeout=timeout_s
        )

    def send(self, *command: Argument) -> None:
        """Send a command that is answered by pushes."""
        name, *arguments = command
        self._connection.send_command(name if isinstance(name, bytes) else str(name).encode(), *arguments)

    async def pushes(self, handle: Callable[[list[Any]], None]) -> None:
        """Give each message that the server pushes to ``handle``, until the connection is lost.

        coredis buffers pushes without limit. While there are any, this holds the one token that its reader needs to
        read on, so that what waits is what one read brought, and the rest waits in the socket, where Redis sees it.
        """
        async with aclosing(self._connection.push_messages) as messages:
            holds = False
            try:
                while True:
                    if holds and self._connection.reusable:  # nothing waits
                        self._budget.release_on_behalf_of(self)
                        holds = False
                    message = await anext(messages)
                    if not holds:
                        await self._budget.acquire_on_behalf_of(self)
                        holds = True
                    handle(message)
            finally:
                if holds:
                    self._budget.release_on_behalf_of(self)


async def _ask(server: RedisServer, address: HostPort, command: tuple[bytes | str, ...], as_user: bool) -> Any:  # noqa: ANN401
    """One command to one server: how it is found out where the bus's own is."""
    parts = urlsplit(server.url)
    login = parts.netloc.rpartition("@")[0] + "@" if as_user and "@" in parts.netloc else ""
    url = f"{parts.scheme}://{login}{address[0]}:{address[1]}"
    async with open_connection(evolve(server, url=url, addresses=ServerAddresses())) as connection:
        return await connection.request(*command, timeout_s=server.reply_timeout)


async def _dial(server: RedisServer, location: object, ssl_context: ssl.SSLContext | None) -> ByteStream:
    with trio.move_on_after(server.connect_timeout):
        if isinstance(location, UnixDomainSocketLocation):
            return await connect_unix(location.path)
        if not isinstance(location, TCPLocation):
            raise TransportError(f"{server} is not the address of a Redis server: write redis://host:port/db")
        if ssl_context is None:
            return await connect_tcp(location.host, location.port)
        return await connect_tcp(
            location.host, location.port, tls=True, ssl_context=ssl_context, tls_standard_compatible=False
        )
    raise TimeoutError(f"no answer from {server}")


@asynccontextmanager
async def open_connection(server: RedisServer) -> AsyncIterator[RedisConnection]:
    """Connect, and close when the body ends. Whatever the body raises comes out as it is."""
    pool = ConnectionPool.from_url(
        server.url,
        max_connections=1,
        stream_timeout=server.reply_timeout,
        connect_timeout=server.connect_timeout,
    )
    location = pool.location
    if not server.addresses.is_fixed:
        location = pool.location = TCPLocation(*await server.addresses.find(partial(_ask, server)))
    stream = await _dial(server, location, pool.connection_kwargs.get("ssl_context"))

    class Dialled(pool.connection_class):  # type: ignore[name-defined, misc]  # one of coredis's two
        async def _connect(self) -> ByteStream:
            return stream

    budget = CapacityLimiter(1)
    pool.connection_kwargs["processing_budget"] = budget
    pool.connection_class = Dialled
    failure: Exception | None = None
    try:
        async with pool:
            try:
                connection = await pool.get_connection()
                try:
                    yield RedisConnection(connection, budget)
                finally:
                    connection.invalidate()
            except (*LOST, RedisError, TransportError) as exc:  # raised below: the pool would wrap it in a group
                failure = exc
    finally:
        await aclose_forcefully(stream)
    if failure is not None:
        raise failure


async def keep_connected(
    server: RedisServer,
    use: Callable[[RedisConnection], Awaitable[None]],
    *,
    what: str,
    on_lost: Callable[[Exception], None],
) -> None:
    """Run ``use`` on a connection, and again on the next one each time it is lost, until cancelled."""
    attempt = 0
    has_connected = False
    while True:
        cause: Exception
        connected_at_s = trio.current_time()
        try:
            async with open_connection(server) as connection:
                has_connected = True
                connected_at_s = trio.current_time()
                await use(connection)
                return
        except LOST as exc:
            cause = exc
        except RedisError as exc:
            if not has_connected:
                raise TransportError(f"{what}: {server} refuses: {exc}") from exc
            cause = exc
        on_lost(cause)
        # A server that takes connections and drops them at once is not to be hammered.
        attempt = 1 if trio.current_time() - connected_at_s >= STABLE_S else attempt + 1
        delay_s = server.policy.delay_s(attempt, random.random())
        logger.log(
            logging.WARNING if attempt == 1 else logging.DEBUG,
            "%s: no connection to %s (%s); the next attempt is in %.1f s",
            what,
            server,
            cause,
            delay_s,
        )
        await trio.sleep(delay_s)
