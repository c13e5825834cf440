"""Who is let in: the origin check and the application's own, before any upgrade is accepted.

Rules
1. A browser always says where the page came from. An ``Origin`` that is not allowed is refused with 403. A caller
   without that header is not a browser, and is left to ``authorize``.
2. Without ``allowed_origins``, pages of the same host get in: those whose origin names the host that the request names
   (``Host``), on any port. A page of another site cannot talk to a server through its visitor's browser (HAZARDS 47).
   Where ``Host`` may be made to name anything (DNS rebinding), or a proxy rewrites it, set ``allowed_origins``.
3. With them, origins are compared by scheme, host and port, in any case, default ports filled in. ``"*"`` lets every
   origin in.
4. ``authorize(peer)`` answers None or True to let the caller in, False for 401, an HTTP status, or a ``Refusal``.
5. An ``authorize`` that crashes, by SystemExit too, lets nobody in: it is logged, and the caller gets 500.
"""

import logging
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TypeAlias
from urllib.parse import urlsplit

from ..._showing import shown_text
from ..peer import Peer
from ..refusal import Refusal
from .boundary import failures_end_here
from .hosts import host_name

logger = logging.getLogger("trio_transports.server")

Authorize: TypeAlias = Callable[[Peer], Awaitable["bool | int | Refusal | None"]]

_FAILED = object()
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


async def admit(
    peer: Peer, *, allowed_origins: Collection[str] | None = None, authorize: Authorize | None = None
) -> Refusal | None:
    """Decide about a caller: None lets it in."""
    origin = peer.header("origin")
    if origin is not None:
        refusal = _wrong_origin(origin, peer.header("host"), allowed_origins)
        if refusal is not None:
            return refusal
    if authorize is None:
        return None
    answer: object = _FAILED
    with failures_end_here(partial(_tell, peer)):  # rule 5
        answer = await authorize(peer)
    if answer is _FAILED:
        return Refusal(status=500, body="internal error")
    match answer:
        case None | True:
            return None
        case False:
            return Refusal(status=401, body="not authorized")
        case Refusal():
            return answer
        case int() if 300 <= answer <= 599:
            return Refusal(status=answer)
    logger.error("authorize answered %r: answer None, True, False, a status from 300 to 599, or a Refusal", answer)
    return Refusal(status=500, body="internal error")


def _tell(peer: Peer, failure: BaseException) -> None:
    logger.error("authorize failed for %s; the caller was refused", peer, exc_info=failure)


def _wrong_origin(origin: str, host: str | None, allowed: Collection[str] | None) -> Refusal | None:
    if allowed is not None:
        is_allowed, otherwise = _is_allowed(origin, allowed), "allowed_origins does not list it"
    else:
        is_allowed = _normal(origin)[1] == host_name(host or "") != ""
        otherwise = "without allowed_origins, only pages of this server's own host get in"
    if is_allowed:
        return None
    return Refusal(status=403, body=f"origin not allowed: {shown_text(origin[:200])} ({otherwise})\n")


def _is_allowed(origin: str, allowed: Collection[str]) -> bool:
    return "*" in allowed or _normal(origin) in {_normal(other) for other in allowed}


def _normal(origin: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(origin.strip().lower())
        return parts.scheme, parts.hostname or parts.path, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return "", origin, None
