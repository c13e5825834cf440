"""HTTP answers in place of an upgrade: those this side gives, and reading those it gets."""

from typing import TypeAlias, final

from attrs import Attribute, field, frozen

from ..errors import HandshakeRejected


def _status(_instance: object, _attribute: "Attribute[int]", value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 300 <= value <= 599:
        raise ValueError(f"Refusal.status must be an HTTP status from 300 to 599, not {value!r}")


@final
@frozen(kw_only=True)
class Refusal:
    """The answer to a caller that is not let in."""

    status: int = field(validator=_status)
    body: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@final
@frozen(kw_only=True)
class Page:
    """The answer to a request for a page, on a server of WebSockets."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...] = ()


Answer: TypeAlias = Refusal | Page


def refusal_in(received: bytes, url: str) -> HandshakeRejected | None:
    """Read an HTTP answer other than 101, whole or cut off; None when that is not what was received."""
    head, _, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not status.isdecimal() or status == "101":
        return None
    pairs = (line.partition(":") for line in lines)
    headers = tuple((name.strip().lower(), value.strip()) for name, colon, value in pairs if colon)
    return HandshakeRejected(int(status), headers=headers, body=body, url=url)
