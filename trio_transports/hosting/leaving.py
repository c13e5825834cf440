"""What the connections of one server know of its leaving.

While calls under way may still finish, a new one is refused with 503. A plain request is served, and can find out.
"""

from collections.abc import Mapping
from typing import Any, Final, cast, final

from attrs import define, field
from hypercorn.typing import AppWrapper, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from trio.lowlevel import ParkingLot

from ..wire.accepting.leaving import LEAVING

_EXTENSION: Final = "trio_transports.server"


@final
@define(eq=False)
class LeavingNotice:
    is_leaving: bool = False
    call_ended: ParkingLot = field(factory=ParkingLot, init=False)

    def announce(self, scope: Scope) -> None:
        """Put this where ``is_leaving`` finds it: among the extensions of a request."""
        cast(dict[str, Any], scope)["extensions"][_EXTENSION] = self

    def app_for(self, app: AppWrapper, scope: Scope) -> AppWrapper:
        """The app itself, or what answers a caller in its stead."""
        return cast(AppWrapper, _refuse) if self.is_leaving and scope["type"] == "websocket" else app


def is_leaving(scope: Mapping[str, Any]) -> bool:
    """Whether the server of this request is about to end: a health check is to answer 503 then.

    Under a server other than ``serve_asgi`` it is False.
    """
    leaving = (scope.get("extensions") or {}).get(_EXTENSION)
    return isinstance(leaving, LeavingNotice) and leaving.is_leaving


async def _refuse(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable, *_threads: object) -> None:
    body = LEAVING.body.encode()
    headers = [(name.lower().encode(), value.encode()) for name, value in LEAVING.headers]
    headers.append((b"content-length", str(len(body)).encode()))
    start = {"type": "websocket.http.response.start", "status": LEAVING.status, "headers": headers}
    await send(cast(ASGISendEvent, start))
    await send(cast(ASGISendEvent, {"type": "websocket.http.response.body", "body": body}))
