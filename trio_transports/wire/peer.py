"""Who is at the other end of a wire, captured when the connection is made and valid for ever after."""

from typing import final
from urllib.parse import parse_qs

from attrs import frozen


@final
@frozen(kw_only=True)
class Peer:
    """``address`` is the host; ``headers`` are those the peer sent: a client's request, or a server's response."""

    address: str = ""
    port: int | None = None
    path: str = "/"
    query_string: str = ""
    headers: tuple[tuple[str, str], ...] = ()
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
        return f"{host}:{self.port}{self.path}" if self.port is not None else f"{host}{self.path}"
