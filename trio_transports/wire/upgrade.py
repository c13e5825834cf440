"""The opening handshake over a stream, the client's side, with h11 for the HTTP in it (RFC 6455, section 4).

Rules
1. Every header must be right before a byte of WebSocket is believed. What is wrong is an error that says so.
2. Bytes that follow the handshake in the same packet belong to the connection and are returned.
3. An answer other than 101 is read for the error, to its end, as far as ``stream.HANDSHAKE_LIMIT_BYTES`` and
   ``_BODY_LIMIT_S`` allow.

h11, imported here, comes with trio-websocket (through wsproto) and with hypercorn.
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import h11
import trio

from ..errors import HandshakeRejected, TransportError
from .stream import OwnedStream

_BODY_LIMIT_S: Final = 1.0
_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Pairs = tuple[tuple[str, str], ...]


async def upgrade_as_client(
    stream: OwnedStream,
    *,
    url: str,
    host: str,
    resource: str,
    headers: Sequence[tuple[str, str]],
    subprotocols: Sequence[str],
) -> tuple[Pairs, str | None, bytes]:
    """Ask for a WebSocket; return the response's headers, the subprotocol and what followed."""
    key = base64.b64encode(os.urandom(16))
    asked = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key.decode()),
        ("Sec-WebSocket-Version", "13"),
        *([("Sec-WebSocket-Protocol", ", ".join(subprotocols))] if subprotocols else []),
        *headers,
    ]
    for name, value in asked:
        if not (name.isascii() and value.isascii()):
            raise TransportError(f"the handshake with {url} cannot be written: header {name!r} is not ASCII")
    http = h11.Connection(h11.CLIENT)
    try:
        request = http.send(h11.Request(method="GET", target=resource, headers=asked))
        end = http.send(h11.EndOfMessage())
    except h11.LocalProtocolError:
        # What h11 says quotes the header, and a header may be a token: it stays out of the message and the traceback.
        wrong = next((name for name, value in asked if not _is_writable(name, value)), "the target")
        raise TransportError(
            f"the handshake with {url} cannot be written: HTTP does not allow what {wrong!r} has in it"
        ) from None
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # reading tells why, or that it was cut off
        await stream.send_all((request or b"") + (end or b""))
    try:
        response = await next_event(http, stream)
        if isinstance(response, h11.InformationalResponse) and response.status_code == 101:
            found = decoded(response.headers)
            _checkacceptance(found, key, subprotocols, url)
            return found, one(found, "sec-websocket-protocol"), http.trailing_data[0]
        if isinstance(response, h11.Response):
            body = await _body(http, stream)
            raise HandshakeRejected(response.status_code, headers=decoded(response.headers), body=body, url=url)
    except h11.RemoteProtocolError as exc:
        raise TransportError(f"the handshake with {url} failed: the answer is not HTTP ({exc})") from exc
    raise TransportError(f"the handshake with {url} was cut off")


def _is_writable(name: str, value: str) -> bool:
    try:
        h11.Request(
            method="GET", target="/", headers=[(name, value)], http_version="1.0"
        )  # which needs no Host beside it
    except h11.LocalProtocolError:
        return False
    return True


def _checkacceptance(headers: Pairs, key: bytes, offered: Sequence[str], url: str) -> None:
    if "websocket" not in tokens(headers, "upgrade") or "upgrade" not in tokens(headers, "connection"):
        raise TransportError(f"the handshake with {url} failed: the answer does not upgrade to a WebSocket")
    if one(headers, "sec-websocket-accept") != acceptance(key):
        raise TransportError(f"the handshake with {url} failed: Sec-WebSocket-Accept does not fit the key")
    if one(headers, "sec-websocket-extensions"):
        raise TransportError(f"the handshake with {url} failed: the server uses an extension that was not offered")
    chosen = one(headers, "sec-websocket-protocol")
    if chosen is not None and chosen not in offered:
        raise TransportError(f"the handshake with {url} failed: subprotocol {chosen!r} was not offered")


def acceptance(key: bytes) -> str:
    """What ``Sec-WebSocket-Accept`` says to a key."""
    return base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest()).decode()


async def next_event(http: h11.Connection, stream: OwnedStream) -> object:
    """Read until h11 has an event; a stream that breaks is ``ConnectionClosed``."""
    while True:
        event = http.next_event()
        if event is not h11.NEED_DATA:
            if isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                continue
            return event
        try:
            http.receive_data(await stream.receive_some())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return h11.ConnectionClosed()


async def _body(http: h11.Connection, stream: OwnedStream) -> bytes:
    body = bytearray()
    with trio.move_on_after(_BODY_LIMIT_S):
        try:
            while isinstance(event := await next_event(http, stream), h11.Data):
                body += event.data
        except h11.RemoteProtocolError:
            pass  # cut off: what came of it is still worth showing
    return bytes(body)


def decoded(headers: object) -> Pairs:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)  # type: ignore[attr-defined]


def one(headers: Pairs, name: str) -> str | None:
    """The first value of a header, None without one; the name in lower case."""
    return next((value for key, value in headers if key == name), None)


def tokens(headers: Pairs, name: str, *, lower: bool = True) -> list[str]:
    """The comma-separated values of a header, over all its lines."""
    joined = ",".join(value for key, value in headers if key == name)
    return [token.strip() for token in (joined.lower() if lower else joined).split(",") if token.strip()]
