"""What one server has counted of its callers, for a page of the app's own to show."""

from collections.abc import Mapping
from typing import Any, cast, final

from attrs import define
from hypercorn.typing import AppWrapper, Scope

from ..wire.accepting.callers import EXTENSION, CallerCounts, Callers, asking


@final
@define(eq=False)
class Counting(CallerCounts):
    """Causes are those of ``Callers``; ``"app"`` stands for every WebSocket that the app has not accepted."""

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


def callers(scope: Mapping[str, Any]) -> Callers | None:
    """Who came to the server of this request so far, and how it went for them; None under another server.

    ``let_in`` counts the WebSockets that the app has accepted. ``turned_away`` counts by cause:

    - ``"request"``: it was wrong, or no HTTP at all, also by the rules of HTTP/2
    - ``"cut off"``: it went before it had asked
    - ``"leaving"``: the server is about to end
    - ``"limit"`` and ``"unheard"``: its address has taken too much
    - ``"time"``: it did not say in time what it wants, its TLS handshake or a body that it began included
    - ``"tls"``: no TLS handshake came about
    - ``"stream"``: of HTTP/2, one more than a connection may have at a time
    - ``"flood"``: a connection of HTTP/2 that was sent away for keeping the server busy
    - ``"app"``: a WebSocket that the app did not accept (an origin, ``authorize``, a full bot)
    - ``"rate"``: a session that ended by 1008, since its caller sent more than ``max_messages_per_second`` or
      ``max_bytes_per_second``
    """
    ask = asking(scope)
    return None if ask is None else ask()
