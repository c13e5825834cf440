"""``/start``: where Pipecat's clients ask for the address of a bot's WebSocket, and may be given a token for it.

Rules
1. A POST with a JSON body of any form, or none, is answered ``{"ws_url": ...}`` and nothing else: clients of protocol
   1.x refuse any other member.
2. Where there are ``StartTokens`` the address has one, as ``?token=``. ``StartTokens.authorize`` is for
   ``params.authorize``: who has been here, and not longer ago than ``ttl_s``, is let in. Tokens are signed, so that any
   process that has the same secret can check them and nothing needs to be kept. A token is of a time and not of a
   call: within it one lets in again, as a client needs that lost its connection.
3. A page of another origin is answered only where that origin is allowed, and then its preflight is too.
"""

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable, Collection
from typing import Final, final
from urllib.parse import urlsplit

from attrs import define, evolve, field
from attrs.validators import gt, instance_of, le, min_len

from .._documented import documented
from ..errors import RemoteProtocolError
from ..frames import JSONValue
from ..params import AsgiWebsocketParams
from ..serializers.codec import loads
from ..wire.peer import Peer
from .asgi import (
    BodyError,
    Header,
    Receive,
    Route,
    Scope,
    Send,
    answer,
    answer_json,
    header,
    refuse_websocket,
    whole_body,
)

_SIGNATURE_BYTES: Final = 16
_TIME_BYTES: Final = 8
_NONCE_BYTES: Final = 8
_TOKEN_CHARS: Final = 43
_MIN_SECRET_BYTES: Final = 16
_MAX_TTL_S: Final = 366 * 86400.0


@documented
@final
@define(eq=False, kw_only=True)
class StartTokens:
    """Tokens that let one in for ``ttl_s``; processes that share a ``secret`` take each other's."""

    secret: bytes = field(
        factory=lambda: secrets.token_bytes(32),
        repr=False,
        validator=[instance_of(bytes), min_len(_MIN_SECRET_BYTES)],
    )
    """What tokens are signed with, 16 bytes at least; made up unless given, so that tokens end with the process."""
    ttl_s: float = field(default=60.0, validator=[gt(0), le(_MAX_TTL_S)])
    """How many seconds a token lets one in. Longer lets a copied one be used longer."""
    _now_s: Callable[[], float] = time.time
    """The clock, in seconds; another one is for tests."""

    def issue(self) -> str:
        """Make one."""
        told = int((self._now_s() + self.ttl_s) * 1000).to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_NONCE_BYTES)
        return _written(told + self._signature(told))

    def is_valid(self, token: str) -> bool:
        """Whether it is one of ours, and not too old."""
        if len(token) != _TOKEN_CHARS or not token.isascii():
            return False
        try:
            whole = urlsafe_b64decode(token + "=")
        except Base64Error:
            return False
        if _written(whole) != token:  # a decoder skips what is no letter of its own, and the last bits
            return False
        told, signature = whole[:-_SIGNATURE_BYTES], whole[-_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(told)):
            return False
        return int.from_bytes(told[:_TIME_BYTES], "big") > self._now_s() * 1000

    async def authorize(self, peer: Peer) -> bool:
        """For ``params.authorize``: let in who brings a valid token in the query, or as a bearer."""
        bearer = (peer.header("authorization") or "").removeprefix("Bearer ")
        return any(self.is_valid(token) for token in (*peer.query.get("token", ()), bearer))

    def _signature(self, told: bytes) -> bytes:
        return hmac.digest(self.secret, told, hashlib.sha256)[:_SIGNATURE_BYTES]


def _written(whole: bytes) -> str:
    return urlsafe_b64encode(whole).decode("ascii").rstrip("=")


def with_tokens(params: AsgiWebsocketParams, tokens: StartTokens) -> AsgiWebsocketParams:
    """Let in only who brings a token; whom the application's own ``authorize`` refuses then is refused all the same."""
    if (own := params.authorize) is None:
        return evolve(params, authorize=tokens.authorize)

    async def both(peer: Peer) -> object:
        return await own(peer) if await tokens.authorize(peer) else False

    return evolve(params, authorize=both)


def start_route(
    ws_path: str = "/ws",
    *,
    tokens: StartTokens | None = None,
    allowed_origins: Collection[str] = (),
    public_url: str | None = None,
    on_start: Callable[[JSONValue], Awaitable[None]] | None = None,
) -> Route:
    """Make the route. ``public_url`` is what callers call this server, where that is not what they ask for.

    ``on_start`` is given the body of each request before the answer.
    """
    check_public_url(public_url)

    async def start(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await refuse_websocket(scope, receive, send)
            return
        shared = _cors(scope, allowed_origins)
        if shared is None:
            await answer_json(scope, send, 403, {"detail": "pages of this origin may not start a session here"})
            return
        if scope["method"] == "OPTIONS":
            await answer(scope, send, 204, b"", headers=shared)
            return
        if scope["method"] != "POST":
            await answer_json(
                scope, send, 405, {"detail": "only POST starts a session"}, headers=[*shared, (b"allow", b"POST")]
            )
            return
        try:
            asked = _body(await whole_body(receive))
        except BodyError as exc:
            await answer_json(scope, send, 413, {"detail": str(exc)}, headers=shared)
            return
        except RemoteProtocolError as exc:
            await answer_json(scope, send, 400, {"detail": f"the body cannot be read: {exc}"}, headers=shared)
            return
        if on_start is not None:
            await on_start(asked)
        address = called_address(scope, ws_path, public_url)
        if tokens is not None:
            address += f"?token={tokens.issue()}"
        await answer_json(scope, send, 200, {"ws_url": address}, headers=shared)

    return start


def _body(body: bytes) -> JSONValue:
    return loads(body) if body.strip() else None


def check_public_url(public_url: str | None) -> str | None:
    """Give it back, or raise ValueError: nobody could call what has no scheme or no host."""
    if public_url is not None:
        parts = urlsplit(public_url)
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{public_url!r} is not a server's address: write one such as https://bot.example")
    return public_url


def called_address(scope: Scope, ws_path: str, public_url: str | None) -> str:
    """The address of a WebSocket of this server, as whoever asks can reach it."""
    if public_url is not None:
        parts = urlsplit(public_url)
        scheme, host, prefix = parts.scheme, parts.netloc, parts.path.rstrip("/")
    else:
        scheme, host, prefix = scope.get("scheme", "http"), header(scope, b"host"), scope.get("root_path", "")
    return f"{'wss' if scheme in ('https', 'wss') else 'ws'}://{host}{prefix}{ws_path}"


def _cors(scope: Scope, allowed: Collection[str]) -> list[Header] | None:
    """What to add to the answer for the page that asks; None: that page may not."""
    origin = header(scope, b"origin")
    host = header(scope, b"host")
    if not origin or origin in (f"http://{host}", f"https://{host}"):
        return []
    if origin not in allowed and "*" not in allowed:
        return None
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-methods", b"POST"),
        (b"access-control-allow-headers", b"content-type, authorization"),
        (b"vary", b"origin"),
    ]
