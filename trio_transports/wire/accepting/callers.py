"""Who came to a server so far, and how it went for them; and where an app finds that of the server it runs under."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, final, runtime_checkable

from attrs import frozen

EXTENSION: Final = "trio_transports.callers"
"""Where in ``scope["extensions"]`` a server of this library puts what counts its callers."""


@final
@frozen(kw_only=True)
class Callers:
    """Who came so far, and how it went for them."""

    connections: int
    """At this moment, from accept on."""
    let_in: int
    turned_away: Mapping[str, int]
    """By cause: ``"request"``, ``"leaving"``, ``"limit"``, ``"origin or authorize"``, ``"full"``, ``"time"``, ``"tls"``
    (no TLS handshake came about), ``"cut off"``, ``"health check"``, and ``"unheard"`` for those beyond
    ``MAX_REFUSING``."""


@runtime_checkable
class Counts(Protocol):
    """What is found under ``EXTENSION``."""

    def callers(self) -> Callers: ...


def asking(scope: Mapping[str, Any]) -> Callable[[], Callers] | None:
    """What asks the server of this request or lifespan, at any later time too; None under another server."""
    found = (scope.get("extensions") or {}).get(EXTENSION)
    return found.callers if isinstance(found, Counts) else None
