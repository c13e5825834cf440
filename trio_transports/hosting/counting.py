"""What one server has counted of its callers, for a page of the app's own to show."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast, final

from attrs import define, field
from hypercorn.typing import AppWrapper, Scope

from ..wire.accepting.callers import EXTENSION, Callers, asking


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
        cast(dict[str, Any], scope).setdefault("extensions", {})[EXTENSION] = self

    def announced(self, app: AppWrapper) -> AppWrapper:
        """The app, told of this in the scope of its lifespan too."""

        async def tell(scope: Scope, *rest: Any) -> None:  # noqa: ANN401 - what hypercorn gives it
            self.announce(scope)
            await app(scope, *rest)

        return cast(AppWrapper, tell)

    def callers(self) -> Callers:
        return Callers(
            connections=self.connections, let_in=self.let_in, turned_away=MappingProxyType(dict(self._refused))
        )


def callers(scope: Mapping[str, Any]) -> Callers | None:
    """Who came to the server of this request so far, and how it went for them; None under another server.

    ``let_in`` counts the WebSockets that the app has accepted. ``turned_away`` counts by cause:

    - ``"request"``: it was wrong, also by the rules of HTTP/2
    - ``"leaving"``: the server is about to end
    - ``"limit"`` and ``"unheard"``: its address has taken too much
    - ``"time"``: it did not say in time what it wants, its TLS handshake or a body that it began included
    - ``"tls"``: no TLS handshake came about
    - ``"stream"``: of HTTP/2, one more than a connection may have at a time
    - ``"flood"``: a connection of HTTP/2 that was sent away for keeping the server busy
    - ``"app"``: a WebSocket that the app did not accept (an origin, ``authorize``, a full bot)
    """
    ask = asking(scope)
    return None if ask is None else ask()
