"""Who came to a server so far, and how it went for them; and where an app finds that of the server it runs under."""

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol, final, runtime_checkable

from attrs import define, field, frozen

from ..._documented import documented

EXTENSION: Final = "trio_transports.callers"
"""Where in ``scope["extensions"]`` a server of this library puts what counts its callers."""

TOO_FAST: Final = "rate"
"""The cause of a call that was let in, and ended by 1008 for what its caller sent (``rates``)."""


@final
@frozen(kw_only=True)
class Callers:
    """Who came so far, and how it went for them."""

    connections: int
    """At this moment, from accept on."""
    let_in: int
    turned_away: Mapping[str, int]
    """By cause: ``"request"`` (it was wrong, or no HTTP at all), ``"leaving"``, ``"limit"``, ``"origin or authorize"``,
    ``"full"``, ``"time"``, ``"tls"`` (no TLS handshake came about), ``"cut off"`` (it went before it had asked),
    ``"health check"``, ``"unheard"`` for those beyond ``MAX_REFUSING``, and ``"rate"`` for those that were let in, and
    ended by 1008 since they sent too much."""


@documented
@define(eq=False)
class CallerCounts:
    """Counts one server's callers: give one to ``serve_proxies(..., counts=...)``, and ask it at any time."""

    connections: int = field(default=0, init=False)
    """At this moment, from accept on."""
    let_in: int = field(default=0, init=False)
    """Callers that were let in so far."""
    _refused: "Counter[str]" = field(factory=Counter, init=False)

    def refuse(self, cause: str) -> None:
        """Count a caller that was turned away; a server does that."""
        self._refused[cause] += 1

    def callers(self) -> Callers:
        """Who came so far, who was let in, and why others were not."""
        return Callers(
            connections=self.connections, let_in=self.let_in, turned_away=MappingProxyType(dict(self._refused))
        )


@runtime_checkable
class Counts(Protocol):
    """What is found under ``EXTENSION``."""

    def callers(self) -> Callers: ...

    def refuse(self, cause: str) -> None: ...


def asking(scope: Mapping[str, Any]) -> Callable[[], Callers] | None:
    """What asks the server of this request or lifespan, at any later time too; None under another server."""
    found = _counts_of(scope)
    return None if found is None else found.callers


def count_refusal(scope: Mapping[str, Any], cause: str) -> None:
    """Have the server of this WebSocket count it; another server counts nothing."""
    found = _counts_of(scope)
    if found is not None:
        found.refuse(cause)


def _counts_of(scope: Mapping[str, Any]) -> Counts | None:
    found = (scope.get("extensions") or {}).get(EXTENSION)
    return found if isinstance(found, Counts) else None
