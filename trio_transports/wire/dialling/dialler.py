"""From an address to a connection: TCP, TLS for ``wss``, and the upgrade, all within one time limit.

Rules
1. The limit does not reach into the connection's own time. Passing it is a TransportError that names it.
2. Whatever goes wrong on the way is one TransportError; a server that answers with an HTTP status instead of the
   upgrade is a HandshakeRejected with that status.
3. A dial that is cancelled or fails leaves nothing open.
"""

import errno
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import final

import trio
from attrs import frozen

from ...errors import TransportError
from ..engines import Engine
from ..protocol import Wire
from ..settings import WireSettings
from ..stream import TCPStream
from .address import Address


@final
@frozen(kw_only=True, eq=False)
class Dialler:
    """All that is needed to make a connection, any number of times."""

    address: Address
    engine: Engine
    settings: WireSettings
    connect_timeout_s: float
    ssl_context: ssl.SSLContext | None = None
    headers: tuple[tuple[str, str], ...] = ()
    subprotocols: tuple[str, ...] = ()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Wire]:
        """Open a connection for as long as the body runs."""
        address = self.address
        with trio.CancelScope(deadline=trio.current_time() + self.connect_timeout_s) as limit:
            stream = await dial(address, self.ssl_context)
            async with self.engine.connect(
                stream,
                url=str(address),
                host=address.host_header,
                resource=address.resource,
                headers=self.headers,
                subprotocols=self.subprotocols,
                settings=self.settings,
            ) as wire:
                limit.deadline = inf
                if limit.cancel_called:  # as the last of the handshake was read: to be heard of here, not in the body
                    await trio.lowlevel.checkpoint()
                yield wire
        if limit.cancelled_caught:
            raise TransportError(f"no connection to {address} within connect_timeout ({self.connect_timeout_s:g} s)")


async def dial(address: Address, ssl_context: ssl.SSLContext | None) -> TCPStream:
    """Connect TCP, and TLS for ``wss``. The caller sets the time limit; a cancelled dial leaves nothing open."""
    try:
        stream = await trio.open_tcp_stream(address.host, address.port)
    except OSError as exc:
        raise TransportError(f"cannot connect to {address}: {_reason(exc)}") from exc
    if not address.is_secure:
        return stream
    context = ssl_context or ssl.create_default_context()
    secure = trio.SSLStream(stream, context, server_hostname=address.host, https_compatible=True)
    try:
        await secure.do_handshake()
    except (trio.BrokenResourceError, ssl.SSLError) as exc:
        await trio.aclose_forcefully(secure)
        raise TransportError(f"cannot agree on TLS with {address}: {exc.__cause__ or exc}") from exc
    except BaseException:
        await trio.aclose_forcefully(secure)
        raise
    return secure


def _reason(error: OSError) -> str:
    """What the system said: trio puts the attempts, one for each address, into the cause."""
    cause: BaseException = error.__cause__ or error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[-1]
    if not isinstance(cause, OSError) or not cause.errno:
        return str(error)
    if cause.errno == errno.ECONNREFUSED:
        return f"{os.strerror(cause.errno)}: nothing listens on that port"
    # Numbers below 0 are those of the name resolution.
    return os.strerror(cause.errno) if cause.errno > 0 else cause.strerror or str(error)
