"""Who is at the other end of a wire, captured when the connection is made and valid for ever after."""

from typing import final
from urllib.parse import parse_qs

from attrs import field, frozen

from .._showing import shown_text


@final
@frozen(kw_only=True)
class Peer:
    """``address`` is the host; ``headers`` are those the peer sent: a client's request, or a server's response.

    ``str`` and ``repr`` leave out the headers and the query, since tokens are in those.
    """

    address: str = ""
    port: int | None = None
    path: str = "/"
    query_string: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    subprotocol: str | None = None

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.query_string, keep_blank_values=True)

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        path = shown_text(self.path)
        return f"{host}:{self.port}{path}" if self.port is not None else f"{host}{path}"
