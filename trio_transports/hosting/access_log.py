"""hypercorn's access log, of which no caller can write a line of its own, and in which no query stands.

Rules
1. Path, method and headers of a request are shown as all else that a peer sent (``_showing``): hypercorn unquotes the
   path, so that ``%0a`` in it is a line end.
2. Of a query the log says only that there was one, and of the page that it came from too: tokens are in those
   (HAZARDS 47). A header is shown where ``config.access_log_format`` names it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, final

from attrs import frozen
from hypercorn.config import Config

from .._showing import shown_text, shown_url

_ADDRESSES: Final = (b"referer", b"origin")


@final
@frozen
class _Guarded:
    access: Callable[..., Awaitable[None]]

    async def __call__(self, request: dict[str, Any], *rest: Any) -> None:  # noqa: ANN401 - what hypercorn gives it
        await self.access(shown_request(request), *rest)


def guard_access_log(config: Config) -> None:
    """Have all that ``config`` logs of requests shown by these rules; once more changes nothing."""
    log: Any = config.log
    if not isinstance(log.access, _Guarded):
        log.access = _Guarded(log.access)


def shown_request(scope: dict[str, Any]) -> dict[str, Any]:
    """The scope of a request as it may be logged."""
    shown = {name: shown_text(value) if isinstance(value, str) else value for name, value in scope.items()}
    shown["query_string"] = b"..." if scope.get("query_string") else b""
    shown["headers"] = [(name, _shown_header(name, value)) for name, value in scope["headers"]]
    return shown


def _shown_header(name: bytes, value: bytes) -> bytes:
    text = value.decode("latin-1")
    shown = shown_url(text) if name.lower() in _ADDRESSES else shown_text(text)
    return shown.encode("latin-1", "backslashreplace")
