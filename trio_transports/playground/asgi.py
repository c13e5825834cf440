"""The little of HTTP that the page's routes need: answers, and a bounded body.

Rules
1. A page of another origin may ask for ``/start`` only if that origin was allowed; then it is told so by CORS.
2. Nothing from outside is in our page, and nobody may put it into another.
"""

import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final, TypeAlias

from ..frames import JSONValue
from ..wire.asgi_opening import events_of
from ..wire.refusal import Refusal

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Route: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

MAX_BODY_BYTES: Final = 64 * 1024
NO_WEBSOCKET: Final = Refusal(status=404, body="there is no WebSocket here: the bot's is at /ws\n")

# Not every browser counts ws: as 'self'. Pictures that a bot sends are made into data: addresses.
_HEADERS: Final[tuple[Header, ...]] = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; connect-src 'self' ws: wss:; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)


class BodyError(ValueError):
    """A request's body is longer than it may be, or was cut off."""


def header(scope: Scope, name: bytes) -> str:
    """The first header of that name, "" when there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def answer(
    scope: Scope,
    send: Send,
    status: int,
    body: bytes,
    *,
    kind: str = "text/plain; charset=utf-8",
    headers: Collection[Header] = (),
) -> None:
    """Send one whole answer; a HEAD is answered without its body."""
    fixed = ((b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *_HEADERS, *headers]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def answer_json(
    scope: Scope, send: Send, status: int, document: JSONValue, *, headers: Collection[Header] = ()
) -> None:
    body = json.dumps(document).encode()
    await answer(scope, send, status, body, kind="application/json", headers=headers)


async def whole_body(receive: Receive) -> bytes:
    """Read a request's body, or raise BodyError."""
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise BodyError("the caller has gone")
        body += event.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise BodyError(f"a body of at most {MAX_BODY_BYTES} bytes is taken")
        if not event.get("more_body"):
            return bytes(body)


async def refuse_websocket(scope: Scope, receive: Receive, send: Send, refusal: Refusal = NO_WEBSOCKET) -> None:
    """Refuse before the upgrade; the caller sees HTTP 403 where the server knows no other status."""
    await receive()
    for event in events_of(refusal, scope):
        await send(event)
