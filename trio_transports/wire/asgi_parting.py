"""How a WebSocket of an ASGI app ends, whoever begins to: what this side has said, and what its server knows.

Rules
1. What this side has begun is how it ends. Else a guarding server knows, from the frames; else what was told as an
   event is believed.
2. Once it has ended, how does not change.
"""

from typing import Any, final

from attrs import define, field

from ..errors import ConnectionClosed, Ending
from .asgi_server import ServerConnection


@final
@define(eq=False)
class Parting:
    """One connection's."""

    _server: ServerConnection | None
    begun: Ending | None = field(default=None, init=False)
    """How this side has begun to end the connection."""
    ending: Ending | None = field(default=None, init=False)
    """How the connection ended."""

    @property
    def is_open(self) -> bool:
        return self.begun is None and self.ending is None

    def by_peer(self) -> Ending | None:
        """What the server knows of an end that this side has not begun, though messages may be left to read."""
        return None if self._server is None or self.begun is not None else self._server.ending

    def told(self, event: dict[str, Any]) -> Ending:
        """What ``websocket.disconnect`` means; rule 1."""
        if self.begun is not None:
            return self.begun
        if self._server is not None and self._server.ending is not None:
            return self._server.ending
        code = event.get("code", 1005)
        return Ending(code, event.get("reason") or "", "error" if code == 1006 else "remote")

    def lost(self, doing: str, exc: Exception) -> Ending:
        """What a failure of the server's means."""
        return self.begun or self.by_peer() or Ending(1006, f"{doing} failed: {exc!r}")

    def error(self) -> ConnectionClosed:
        """What says it to whoever receives or sends."""
        ending = self.ending or self.begun or self.by_peer()
        assert ending is not None
        return ending.error()
