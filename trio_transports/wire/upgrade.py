"""The opening handshake over a stream, both sides, with h11 for the HTTP in it (RFC 6455, section 4).

Rules
1. Every header must be right before a byte of WebSocket is believed. What is wrong gets an HTTP answer that says so
   (400, 405, 426), or, on the client's side, an error.
2. Bytes that follow the handshake in the same packet belong to the connection and are returned.
3. An answer other than 101 is read for the error, to its end, as far as ``stream.HANDSHAKE_LIMIT_BYTES`` and
   ``_BODY_LIMIT_S`` allow.
4. After a refusal the caller has a moment to read it, also one that is still sending (``closing.linger``).

h11, imported here, comes with trio-websocket (through wsproto) and with hypercorn.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import h11
import trio

from ..errors import ConnectionClosed, HandshakeRejected, TransportError
from .closing import linger
from .peer import Peer
from .refusal import Refusal
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
    await stream.send_all((request or b"") + (end or b""))
    try:
        response = await _next_event(http, stream)
        if isinstance(response, h11.InformationalResponse) and response.status_code == 101:
            found = _decoded(response.headers)
            _check_acceptance(found, key, subprotocols, url)
            return found, _one(found, "sec-websocket-protocol"), http.trailing_data[0]
        if isinstance(response, h11.Response):
            body = await _body(http, stream)
            raise HandshakeRejected(response.status_code, headers=_decoded(response.headers), body=body, url=url)
    except h11.RemoteProtocolError as exc:
        raise TransportError(f"the handshake with {url} failed: the answer is not HTTP ({exc})") from exc
    raise TransportError(f"the handshake with {url} was cut off")


def _is_writable(name: str, value: str) -> bool:
    try:
        h11.Request(method="GET", target="/", headers=[("Host", "x"), (name, value)])
    except h11.LocalProtocolError:
        return False
    return True


async def upgrade_as_server(
    stream: OwnedStream,
    *,
    address: str,
    port: int | None,
    admit: Callable[[Peer], Awaitable[Refusal | None]],
    subprotocols: Sequence[str],
) -> tuple[Peer, bytes]:
    """Answer a request for a WebSocket; return who asked and what followed, or raise HandshakeRejected."""
    http = h11.Connection(h11.SERVER)
    try:
        request = await _next_event(http, stream)
    except h11.RemoteProtocolError as exc:
        await _refuse(http, stream, Refusal(status=exc.error_status_hint, body=str(exc)))
        raise ConnectionClosed(1006, f"not HTTP: {exc}", initiator="error") from exc
    if not isinstance(request, h11.Request):
        raise ConnectionClosed(1006, "the handshake was cut off", initiator="error")
    found = _decoded(request.headers)
    refusal = _fault(request, found)
    path, _, query = _resource(request.target.decode("latin-1")).partition("?")
    offered = _tokens(found, "sec-websocket-protocol", lower=False)
    chosen = next((name for name in subprotocols if name in offered), None)
    peer = Peer(address=address, port=port, path=path, query_string=query, headers=found, subprotocol=chosen)
    if refusal is None:
        refusal = await admit(peer)
    if refusal is not None:
        await _refuse(http, stream, refusal, is_head=request.method == b"HEAD")
        raise HandshakeRejected(refusal.status, body=refusal.body.encode())
    trailing = _after_the_request(http)
    answer = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
    answer.append(("Sec-WebSocket-Accept", _acceptance((_one(found, "sec-websocket-key") or "").encode())))
    if chosen is not None:
        answer.append(("Sec-WebSocket-Protocol", chosen))
    await stream.send_all(http.send(h11.InformationalResponse(status_code=101, headers=answer)) or b"")
    return peer, trailing


def _fault(request: h11.Request, headers: Pairs) -> Refusal | None:
    """What is wrong with a request for a WebSocket."""
    if request.method != b"GET":
        return Refusal(status=405, body="a WebSocket is asked for with GET", headers=(("Allow", "GET"),))
    upgrade = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))
    if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(headers, "connection"):
        return Refusal(status=426, body="this is a WebSocket server: ask for an upgrade", headers=upgrade)
    if request.http_version < b"1.1":
        return Refusal(status=400, body="a WebSocket is asked for with HTTP/1.1")
    if not _resource(request.target.decode("latin-1")).startswith("/"):
        return Refusal(status=400, body="the target of the request is not a path")
    if _one(headers, "sec-websocket-version") != "13":
        return Refusal(status=426, body="this server speaks version 13", headers=upgrade)
    if sum(name == "sec-websocket-key" for name, _ in headers) > 1:
        return Refusal(status=400, body="Sec-WebSocket-Key must be given once")
    try:
        key = base64.b64decode(_one(headers, "sec-websocket-key") or "", validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 16:
        return Refusal(status=400, body="Sec-WebSocket-Key must be 16 bytes in base64")
    if (_one(headers, "content-length") or "0") != "0" or _one(headers, "transfer-encoding"):
        return Refusal(status=400, body="a request for a WebSocket has no body")
    return None


def _resource(target: str) -> str:
    """The path and query of a request's target, also of one in absolute form (RFC 9112, 3.2.2)."""
    _, is_absolute, rest = target.partition("://")
    if target.startswith("/") or not is_absolute:
        return target
    at = next((at for at, character in enumerate(rest) if character in "/?"), len(rest))
    return rest[at:] if rest[at : at + 1] == "/" else "/" + rest[at:]


def _check_acceptance(headers: Pairs, key: bytes, offered: Sequence[str], url: str) -> None:
    if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(headers, "connection"):
        raise TransportError(f"the handshake with {url} failed: the answer does not upgrade to a WebSocket")
    if _one(headers, "sec-websocket-accept") != _acceptance(key):
        raise TransportError(f"the handshake with {url} failed: Sec-WebSocket-Accept does not fit the key")
    if _one(headers, "sec-websocket-extensions"):
        raise TransportError(f"the handshake with {url} failed: the server uses an extension that was not offered")
    chosen = _one(headers, "sec-websocket-protocol")
    if chosen is not None and chosen not in offered:
        raise TransportError(f"the handshake with {url} failed: subprotocol {chosen!r} was not offered")


def _acceptance(key: bytes) -> str:
    return base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest()).decode()


async def _next_event(http: h11.Connection, stream: OwnedStream) -> object:
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
            while isinstance(event := await _next_event(http, stream), h11.Data):
                body += event.data
        except h11.RemoteProtocolError:
            pass  # cut off: what came of it is still worth showing
    return bytes(body)


def _after_the_request(http: h11.Connection) -> bytes:
    while not isinstance(http.next_event(), h11.EndOfMessage):
        pass
    http.next_event()
    return http.trailing_data[0]


async def _refuse(http: h11.Connection, stream: OwnedStream, refusal: Refusal, *, is_head: bool = False) -> None:
    body = refusal.body.encode()
    headers = [
        *refusal.headers,
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    response = http.send(h11.Response(status_code=refusal.status, headers=headers)) or b""
    data = b"" if is_head or refusal.status == 304 else http.send(h11.Data(data=body)) or b""
    try:
        await stream.send_all(response + data + (http.send(h11.EndOfMessage()) or b""))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # the caller did not wait for the answer
    await linger(stream)


def _decoded(headers: object) -> Pairs:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)  # type: ignore[attr-defined]


def _one(headers: Pairs, name: str) -> str | None:
    return next((value for key, value in headers if key == name), None)


def _tokens(headers: Pairs, name: str, *, lower: bool = True) -> list[str]:
    joined = ",".join(value for key, value in headers if key == name)
    return [token.strip() for token in (joined.lower() if lower else joined).split(",") if token.strip()]
