"""The opening handshake over a stream, the server's side, with h11 for the HTTP in it (RFC 6455, section 4).

Rules
1. Every header must be right before a byte of WebSocket is believed, and before anybody is asked whether the caller may
   come in. What is wrong gets an HTTP answer that says so: 400, 405, 426. It is the same on every engine (HAZARDS 42).
2. What two readers could understand in two ways is refused: a header that must be there once and is not, HTTP/1.0, any
   body or sign of one.
3. A request that asks for no WebSocket may be answered by ``plain``; else it is told that this is a WebSocket server.
4. Bytes that follow the request in the same packet belong to the connection and are returned.
5. A target in absolute form names the host that is asked, and ``Host`` is ignored (RFC 9112, 3.2.2): nobody is shown
   another host than the one that the request goes to.
6. After a refusal the caller has a moment to read it, also one that is still sending (``closing.linger``).
"""

import base64
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, final

import h11
import trio
from attrs import frozen

from ..errors import ConnectionClosed, HandshakeRejected
from .closing import linger
from .peer import Peer
from .refusal import Answer, Refusal
from .stream import OwnedStream
from .upgrade import Pairs, acceptance, decoded, next_event, one, tokens

Admit: TypeAlias = Callable[[Peer], Awaitable[Refusal | None]]
Plain: TypeAlias = Callable[[Peer], Answer | None]
"""Answers a GET or HEAD for a page; None leaves that to rule 3."""

_ONCE: Final = ("host", "sec-websocket-key", "sec-websocket-version", "origin")
_UPGRADE: Final = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))


@final
@frozen(kw_only=True)
class UpgradeRequest:
    """A request for a WebSocket that may be granted."""

    peer: Peer
    key: str
    trailing: bytes
    """What came after the request, and is not HTTP."""


def nothing(_peer: Peer) -> Answer | None:
    return None


async def upgrade_as_server(
    stream: OwnedStream,
    *,
    address: str,
    port: int | None,
    admit: Admit,
    subprotocols: Sequence[str],
    plain: Plain = nothing,
) -> tuple[Peer, bytes]:
    """Answer a request for a WebSocket; return who asked and what followed, or raise HandshakeRejected."""
    http = h11.Connection(h11.SERVER)
    asked = await _asked(http, stream, address, port, admit, subprotocols, plain)
    answer = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", acceptance(asked.key.encode())),
    ]
    if asked.peer.subprotocol is not None:
        answer.append(("Sec-WebSocket-Protocol", asked.peer.subprotocol))
    await stream.send_all(http.send(h11.InformationalResponse(status_code=101, headers=answer)) or b"")
    return asked.peer, asked.trailing


async def read_request(
    stream: OwnedStream,
    *,
    address: str,
    port: int | None,
    admit: Admit,
    subprotocols: Sequence[str],
    plain: Plain = nothing,
) -> UpgradeRequest:
    """As ``upgrade_as_server``, for an engine that says yes itself."""
    return await _asked(h11.Connection(h11.SERVER), stream, address, port, admit, subprotocols, plain)


async def _asked(
    http: h11.Connection,
    stream: OwnedStream,
    address: str,
    port: int | None,
    admit: Admit,
    subprotocols: Sequence[str],
    plain: Plain,
) -> UpgradeRequest:
    try:
        request = await next_event(http, stream)
    except h11.RemoteProtocolError as exc:
        why = f"{exc}\n"
        await _refuse(http, stream, Refusal(status=exc.error_status_hint, body=why))
        if http.trailing_data[1]:
            raise ConnectionClosed(1006, "the handshake was cut off", initiator="error") from exc
        raise HandshakeRejected(exc.error_status_hint, body=why.encode()) from exc
    if not isinstance(request, h11.Request):
        raise ConnectionClosed(1006, "the handshake was cut off", initiator="error")
    sent, target = decoded(request.headers), request.target.decode("latin-1")
    found = with_host_of(target, sent)
    path, _, query = resource(target).partition("?")
    offered = tokens(found, "sec-websocket-protocol", lower=False)
    chosen = next((name for name in subprotocols if name in offered), None)
    peer = Peer(address=address, port=port, path=path, query_string=query, headers=found, subprotocol=chosen)
    refusal: Answer | None = doubled(sent)
    if refusal is None and request.method in (b"GET", b"HEAD") and not is_for_a_websocket(found):
        refusal = plain(peer)
    refusal = refusal or fault(request, found) or await admit(peer)
    if refusal is not None:
        await _refuse(http, stream, refusal, is_head=request.method == b"HEAD")
        raise HandshakeRejected(refusal.status, body=refusal.body.encode())
    return UpgradeRequest(peer=peer, key=one(found, "sec-websocket-key") or "", trailing=_after_the_request(http))


def is_for_a_websocket(headers: Pairs) -> bool:
    return "websocket" in tokens(headers, "upgrade") and "upgrade" in tokens(headers, "connection")


def doubled(headers: Pairs) -> Refusal | None:
    """Rule 2, for what every request may have at most once."""
    names = [name for name, _ in headers]
    twice = next((name for name in _ONCE if names.count(name) > 1), None)
    return None if twice is None else Refusal(status=400, body=f"the header {twice} is given twice\n")


def fault(request: h11.Request, headers: Pairs) -> Refusal | None:
    """What is wrong with a request for a WebSocket."""
    if request.method != b"GET":
        return Refusal(status=405, body="a WebSocket is asked for with GET\n", headers=(("Allow", "GET"),))
    if not is_for_a_websocket(headers):
        return Refusal(
            status=426,
            body="this is a WebSocket server: open it with a WebSocket client, by a ws:// or wss:// address\n",
            headers=_UPGRADE,
        )
    if request.http_version < b"1.1":
        return Refusal(status=400, body="a WebSocket is asked for with HTTP/1.1\n")
    if not resource(request.target.decode("latin-1")).startswith("/"):
        return Refusal(status=400, body="the target of the request is not a path\n")
    if one(headers, "sec-websocket-version") != "13":
        return Refusal(status=426, body="this server speaks version 13\n", headers=_UPGRADE)
    try:
        key = base64.b64decode(one(headers, "sec-websocket-key") or "", validate=True)
    except ValueError:  # not base64, or not even ASCII
        key = b""
    if len(key) != 16:
        return Refusal(status=400, body="Sec-WebSocket-Key must be 16 bytes in base64\n")
    return body_fault(headers)


def body_fault(headers: Pairs) -> Refusal | None:
    """Rule 2, for what comes behind a request for a WebSocket."""
    if (one(headers, "content-length") or "0") != "0" or one(headers, "transfer-encoding") is not None:
        return Refusal(status=400, body="a request for a WebSocket has no body\n")
    return None


def resource(target: str) -> str:
    """The path and query of a request's target, also of one in absolute form (RFC 9112, 3.2.2)."""
    _, is_absolute, rest = target.partition("://")
    if target.startswith("/") or not is_absolute:
        return target
    at = next((at for at, character in enumerate(rest) if character in "/?"), len(rest))
    return rest[at:] if rest[at : at + 1] == "/" else "/" + rest[at:]


def with_host_of(target: str, headers: Pairs) -> Pairs:
    """Rule 5."""
    _, is_absolute, rest = target.partition("://")
    if target.startswith("/") or not is_absolute:
        return headers
    authority = re.split("[/?]", rest, maxsplit=1)[0].rpartition("@")[2]
    return (("host", authority), *(each for each in headers if each[0] != "host"))


def _after_the_request(http: h11.Connection) -> bytes:
    while not isinstance(http.next_event(), h11.EndOfMessage):
        pass
    return http.trailing_data[0]


async def _refuse(http: h11.Connection, stream: OwnedStream, refusal: Answer, *, is_head: bool = False) -> None:
    body = refusal.body.encode()
    has_type = any(name.lower() == "content-type" for name, _ in refusal.headers)
    headers = [
        *refusal.headers,
        *(() if has_type else (("Content-Type", "text/plain; charset=utf-8"),)),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    response = http.send(h11.Response(status_code=refusal.status, headers=headers)) or b""
    data = b"" if is_head or refusal.status == 304 else http.send(h11.Data(data=body)) or b""
    try:
        await stream.send_all(response + data)  # its length is in it: nothing ends it but that
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # the caller did not wait for the answer
    await linger(stream)
