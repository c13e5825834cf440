"""HTTP/1.1: what hypercorn's takes that it should not.

Rules
1. h2c is taken only where it was asked for. An ``Upgrade: h2c`` is ignored then, as HTTP allows, and a peer that begins
   with HTTP/2's preface is told 505.
2. What two readers could understand in two ways is refused (HAZARDS 42): a length and a transfer encoding in one
   request, and in one for a WebSocket whatever ``wire.answering`` does not take on the other engines either.
3. A body that comes too slowly ends the connection: see ``patience``.
"""

import re
from collections.abc import Callable
from typing import Any, Final, final

import h11
from hypercorn.events import Closed
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream

from ..wire.answering import doubled, fault, is_for_a_websocket, resource
from ..wire.refusal import Answer, Refusal
from ..wire.upgrade import decoded, one

_SMUGGLED: Final = Refusal(status=400, body="a request has a Content-Length or a Transfer-Encoding, not both\n")
_NO_H2C: Final = Refusal(status=505, body="this server speaks HTTP/2 over TLS only\n")


def _with_path(request: h11.Request) -> h11.Request:
    """The same request by its path, where it named its target in absolute form: its host is then the target's."""
    scheme, is_absolute, rest = request.target.partition(b"://")
    if not is_absolute or scheme.lower() not in (b"http", b"https", b"ws", b"wss"):
        return request
    path = resource(request.target.decode("latin-1")).encode("latin-1")
    host = re.split(rb"[/?]", rest, maxsplit=1)[0].rpartition(b"@")[2]
    others = [(name, value) for name, value in request.headers if name != b"host"]
    return h11.Request(
        method=request.method, target=path, headers=[(b"host", host), *others], http_version=request.http_version
    )


@final
class GuardedH11(H11Protocol):
    """Hypercorn's HTTP/1.1, as strict as the other engines."""

    def __init__(self, *args: Any, takes_h2c: bool, on_refused: Callable[[str], None]) -> None:  # noqa: ANN401 - nine
        super().__init__(*args)
        self._takes_h2c = takes_h2c
        self._on_refused = on_refused

    @property
    def is_reading_body(self) -> bool:
        """A plain request is here, and the rest of its body is not."""
        return isinstance(self.stream, HTTPStream) and self.connection.their_state is h11.SEND_BODY

    async def _check_protocol(self, event: h11.Request) -> None:
        if self._takes_h2c:
            await super()._check_protocol(event)

    async def _create_stream(self, request: h11.Request) -> None:
        request = _with_path(request)
        refusal = self._fault(request)
        if refusal is None:
            await super()._create_stream(request)
        else:
            await self._refuse(request, refusal)

    def _fault(self, request: h11.Request) -> Answer | None:
        if request.method == b"PRI" and request.http_version == b"2.0":
            return _NO_H2C
        headers = decoded(request.headers)
        if one(headers, "content-length") is not None and one(headers, "transfer-encoding") is not None:
            return _SMUGGLED
        if is_for_a_websocket(headers):
            return doubled(headers) or fault(request, headers)
        return None

    async def _send_h11_event(self, event: Any) -> None:  # noqa: ANN401 - one of h11's
        if isinstance(event, h11.Response) and self.stream is None:  # hypercorn's own refusals too
            self._on_refused("cut off" if self.connection.trailing_data[1] else "request")
        await super()._send_h11_event(event)

    async def _refuse(self, request: h11.Request, refusal: Answer) -> None:
        body = refusal.body.encode()
        headers: list[tuple[bytes, bytes]] = [
            *((name.encode(), value.encode()) for name, value in refusal.headers),
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Length", str(len(body)).encode()),
            (b"Connection", b"close"),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=refusal.status, headers=headers))
        if request.method != b"HEAD":
            await self._send_h11_event(h11.Data(data=body))
        await self.send(Closed())
