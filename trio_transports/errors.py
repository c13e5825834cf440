"""The exceptions of the library: one root, and one name for each party that can be at fault.

Nothing here depends on an engine; a wire translates its engine's exceptions once, ``from`` the original. How a
connection ended is one value, ``Ending``; whoever has it makes the exception to raise from it, a new one each time.
"""

from typing import Literal, TypeAlias, final

from attrs import frozen

from ._documented import documented
from ._showing import shown_text, shown_url

__all__ = [
    "ConnectionClosed",
    "HandshakeRejected",
    "Initiator",
    "LocalProtocolError",
    "RemoteProtocolError",
    "TransportError",
]

Initiator: TypeAlias = Literal["local", "remote", "error"]
"""Who ended a connection: this side, the peer, or neither (it broke)."""


class TransportError(Exception):
    """Root of everything this library raises on purpose."""


@documented
class ConnectionClosed(TransportError):
    """The connection has ended; nothing more can be sent, and all that was received has been read."""

    code: int
    """The WebSocket close code: 1000 a normal end, 1001 going away, 1006 lost without a goodbye."""
    reason: str
    """The reason that came with the code; often empty, and the peer's own words where the peer ended it."""
    initiator: Initiator
    """Who ended it: ``local``, ``remote``, or ``error`` where it broke."""

    def __init__(self, code: int = 1006, reason: str = "", *, initiator: Initiator = "error") -> None:
        self.code = code
        self.reason = reason
        self.initiator = initiator
        super().__init__(code, reason, initiator)

    @property
    def ending(self) -> "Ending":
        """The same as a value that can be kept: unlike an exception it holds no traceback."""
        return Ending(self.code, self.reason, self.initiator)

    def __str__(self) -> str:
        who = {"local": "closed by this side", "remote": "closed by the peer", "error": "connection lost"}
        return f"{who[self.initiator]}, code {self.code}" + (f": {shown_text(self.reason)}" if self.reason else "")


@final
@frozen
class Ending:
    """How a connection ended: the close code, the reason, and who ended it."""

    code: int = 1006
    reason: str = ""
    initiator: Initiator = "error"

    def error(self) -> ConnectionClosed:
        """Make the exception to raise: a new one for each caller, so that tracebacks stay apart."""
        return ConnectionClosed(self.code, self.reason, initiator=self.initiator)


@documented
class HandshakeRejected(TransportError):
    """The server answered the WebSocket upgrade with an HTTP status instead."""

    status: int
    """The HTTP status: 401 and 403 are about who you are, 429 and 503 say to come again later."""
    headers: tuple[tuple[str, str], ...]
    """The answer's headers, as pairs of name and value."""
    body: bytes
    """The beginning of the answer's body."""
    url: str
    """What was dialled; messages show it without its query."""

    def __init__(
        self, status: int, *, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"", url: str = ""
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.url = url
        super().__init__(status, body)

    def __str__(self) -> str:
        where = f" by {shown_url(self.url)}" if self.url else ""
        excerpt = shown_text(self.body[:200].decode("utf-8", "replace"))
        return f"the WebSocket handshake was refused{where} with HTTP status {self.status}" + (
            f": {excerpt}" if excerpt else ""
        )


class LocalProtocolError(TransportError):
    """This side asked for something the connection or the dialect does not allow: a mistake in the calling code."""


@documented
class RemoteProtocolError(TransportError):
    """The peer sent something that its protocol does not allow; ``path`` names the place inside the message."""

    path: str
    """The place inside the message, such as ``media.payload``; empty where it is all of it."""

    def __init__(self, message: str, *, path: str = "") -> None:
        self.path = path
        super().__init__(f"{message} (at {path})" if path else message)

    def __str__(self) -> str:
        return shown_text(super().__str__())
