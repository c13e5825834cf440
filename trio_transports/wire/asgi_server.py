"""What a guarding ASGI server (``hosting.serve_asgi``) tells a wire, and does for it, that ASGI has no words for."""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from ..errors import Ending
from .asgi_sources import Scope

EXTENSION: Final = "trio_transports.connection"
"""Where in ``scope["extensions"]`` a guarding server puts ``{"connection": ServerConnection}``."""


class MessageWay(Protocol):
    """Messages without ASGI's events."""

    async def next_message(self) -> str | bytes | None:
        """Give the next message, or None where ``receive`` has something else to tell."""

    async def receive_each(self, take: Callable[[str | bytes], bool]) -> bool:
        """Hand messages over until ``take`` answers True; False where ``receive`` has something else to tell."""

    def send_now(self, message: str | bytes) -> bool | None:
        """As a wire's; False as well where the connection is broken, which ``send`` finds and tells."""

    async def flushed(self) -> bool:
        """Wait until what was begun is written; False where the connection is broken. Cancelling it aborts."""


class ServerConnection(Protocol):
    """What a guarding server tells of the connection beyond what ASGI has words for."""

    @property
    def ending(self) -> Ending | None: ...

    @property
    def is_accepted(self) -> bool: ...

    def abort(self) -> None: ...

    def on_shutdown(self, callback: Callable[[], Awaitable[object]]) -> Callable[[], None]: ...

    def limit_messages(self, max_bytes: int) -> None: ...

    def short_way(self, receive: Callable[..., object], send: Callable[..., object]) -> MessageWay | None: ...

    def keep_alive(self, interval_s: float, timeout_s: float) -> None: ...


def connection_of(scope: Scope) -> ServerConnection | None:
    """What the server of this scope says of its connection; None under one that guards nothing."""
    found: ServerConnection | None = ((scope.get("extensions") or {}).get(EXTENSION) or {}).get("connection")
    return found
