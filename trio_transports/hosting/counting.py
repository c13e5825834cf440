"""What one server has counted of its callers, for a page of the app's own to show."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast, final

from attrs import define, field
from hypercorn.typing import Scope

from ..wire.accepting.door import Callers

_EXTENSION: Final = "trio_transports.callers"


@final
@define(eq=False)
class Counting:
    """Causes are those of ``Callers``; ``"app"`` stands for every WebSocket that the app has not accepted."""

    connections: int = 0
    let_in: int = 0
    _refused: "Counter[str]" = field(factory=Counter, init=False)

    def refuse(self, cause: str) -> None:
        self._refused[cause] += 1

    def accept(self) -> None:
        self.let_in += 1

    def announce(self, scope: Scope) -> None:
        cast(dict[str, Any], scope)["extensions"][_EXTENSION] = self

    def callers(self) -> Callers:
        return Callers(
            connections=self.connections, let_in=self.let_in, turned_away=MappingProxyType(dict(self._refused))
        )


def callers(scope: Mapping[str, Any]) -> Callers | None:
    """Who came to the server of this request so far, and how it went for them; None under another server.

    ``let_in`` counts the WebSockets that the app has accepted. ``turned_away`` counts by cause: ``"request"`` (it was
    wrong), ``"leaving"``, ``"limit"`` and ``"unheard"`` (its address has taken too much), ``"time"`` (it did not say in
    time what it wants), and ``"app"`` (a WebSocket that the app did not accept: an origin, ``authorize``, a full bot).
    """
    counting = (scope.get("extensions") or {}).get(_EXTENSION)
    return counting.callers() if isinstance(counting, Counting) else None
