"""Every engine keeps the contract of wires over real sockets, plain and with TLS, also against the other engines."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from ssl import PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER, SSLContext

import pytest
import trustme

from tests.real.wire.engines import wire_pair
from trio_transports.testing import check_wire
from trio_transports.wire import Wire
from trio_transports.wire.engines import ENGINES, engine_named


def tls_contexts() -> tuple[SSLContext, SSLContext]:
    authority = trustme.CA()
    server, client = SSLContext(PROTOCOL_TLS_SERVER), SSLContext(PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.mark.parametrize(("client", "server"), list(product(ENGINES, ENGINES)))
async def test_plain(client: str, server: str) -> None:
    """Both ends of a plain connection keep the contract."""

    @asynccontextmanager
    async def pair(*, max_message_bytes: int) -> AsyncIterator[tuple[Wire, Wire]]:
        async with wire_pair(engine_named(client), engine_named(server), max_message_bytes=max_message_bytes) as wires:
            yield wires

    await check_wire(pair)


@pytest.mark.parametrize("engine", list(ENGINES))
async def test_tls(engine: str) -> None:
    """Both ends of a TLS connection keep the contract."""
    server_ssl, client_ssl = tls_contexts()

    @asynccontextmanager
    async def pair(*, max_message_bytes: int) -> AsyncIterator[tuple[Wire, Wire]]:
        async with wire_pair(
            engine_named(engine),
            engine_named(engine),
            max_message_bytes=max_message_bytes,
            server_ssl=server_ssl,
            client_ssl=client_ssl,
        ) as wires:
            yield wires

    await check_wire(pair)
