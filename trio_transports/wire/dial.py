"""From a ``ws://`` or ``wss://`` address to a connected byte stream."""

import os
import ssl
from typing import final
from urllib.parse import quote, urlsplit

import trio
from attrs import field, frozen

from .._showing import shown_url
from ..errors import TransportError
from .stream import TCPStream


@final
@frozen
class Address:
    """A WebSocket URL, taken apart. ``str`` and ``repr`` show it without its query."""

    url: str = field(repr=shown_url)
    host: str
    port: int
    resource: str = field(repr=shown_url)
    is_secure: bool

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_secure else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return shown_url(self.url)

    @classmethod
    def parse(cls, url: str) -> "Address":
        try:
            parts = urlsplit(url)
            port = parts.port
            host = (parts.hostname or "").encode("idna").decode()  # also what Host and TLS ask for
        except ValueError as exc:
            raise ValueError(f"{shown_url(url)!r} is not a WebSocket URL: {exc}") from None
        if parts.scheme not in ("ws", "wss") or not host:
            raise ValueError(f"{shown_url(url)!r} is not a WebSocket URL: write ws://host:port/path or wss://host/path")
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        wrong = next((character for character in resource if not "!" <= character <= "~"), None)
        if wrong is not None:
            raise ValueError(
                f"{shown_url(url)!r} is not a WebSocket URL: "
                f"its path or query has {wrong!r}; write {quote(wrong)} for it"
            )
        is_secure = parts.scheme == "wss"
        return cls(url, host, port or (443 if is_secure else 80), resource, is_secure)


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
    # Numbers below 0 are those of the name resolution.
    return os.strerror(cause.errno) if cause.errno > 0 else cause.strerror or str(error)
