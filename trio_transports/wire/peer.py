"""Who is at the other end of a wire, captured when the connection is made and valid for ever after."""

from typing import final
from urllib.parse import parse_qs

from attrs import field, frozen

from .._documented import documented
from .._showing import shown_text


@documented
@final
@frozen(kw_only=True)
class Peer:
    """Who is at the other end of a connection.

    ``str`` and ``repr`` leave out headers and query, since tokens are in those.
    """

    address: str = ""
    """The host: an IP address for a caller, the name that was dialled for a server."""
    port: int | None = None
    """The port at the other end; None where it is not known."""
    path: str = "/"
    """The path that was asked for, without the query."""
    query_string: str = field(default="", repr=False)
    """The query as it was written; ``query`` takes it apart."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The headers that the peer sent, as pairs: a client's request, or a server's response. ``header`` finds one."""
    subprotocol: str | None = None
    """The WebSocket subprotocol that was agreed on; None: none."""

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's values by name; each may be there more than once."""
        return parse_qs(self.query_string, keep_blank_values=True)

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def __str__(self) -> str:
        host = shown_text(f"[{self.address}]" if ":" in self.address else self.address)  # a proxy's header may say it
        path = shown_text(self.path)
        return f"{host}:{self.port}{path}" if self.port is not None else f"{host}{path}"
