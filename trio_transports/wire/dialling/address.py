"""A ``ws://`` or ``wss://`` address, taken apart."""

from typing import final
from urllib.parse import quote, urlsplit

from attrs import field, frozen

from ..._showing import shown_url


@final
@frozen
class Address:
    """A WebSocket URL, taken apart. ``str`` and ``repr`` show it without its query."""

    url: str = field(repr=shown_url)
    host: str
    port: int
    resource: str = field(repr=shown_url)
    is_secure: bool

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_secure else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return shown_url(self.url)

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Take a URL apart; ValueError, without its secrets, for what is none."""
        if not isinstance(url, str):
            raise TypeError(f"a WebSocket URL is a str like ws://host:port/path, not {type(url).__name__}")
        try:
            parts = urlsplit(url)
            port = parts.port
            host = (parts.hostname or "").encode("idna").decode()  # also what Host and TLS ask for
        except ValueError as exc:
            raise ValueError(f"{shown_url(url)!r} is not a WebSocket URL: {exc}") from None
        if parts.scheme not in ("ws", "wss") or not host:
            raise ValueError(f"{shown_url(url)!r} is not a WebSocket URL: write ws://host:port/path or wss://host/path")
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        wrong = next((character for character in resource if not "!" <= character <= "~"), None)
        if wrong is not None:
            raise ValueError(
                f"{shown_url(url)!r} is not a WebSocket URL: "
                f"its path or query has {wrong!r}; write {quote(wrong)} for it"
            )
        is_secure = parts.scheme == "wss"
        return cls(url, host, port or (443 if is_secure else 80), resource, is_secure)
