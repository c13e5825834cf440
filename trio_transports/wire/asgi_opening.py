"""An upgrade request and its refusal, in ASGI's words."""

from typing import Any

from .asgi_sources import Scope
from .peer import Peer
from .refusal import Refusal


def peer_of(scope: Scope) -> Peer:
    client = scope.get("client") or ("", None)
    return Peer(
        address=client[0],
        port=client[1],
        path=scope.get("path", "/"),
        query_string=bytes(scope.get("query_string", b"")).decode("latin-1"),
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope.get("headers", ())),
    )


def events_of(refusal: Refusal, scope: Scope) -> list[dict[str, Any]]:
    """The refusal in ASGI's words; 403 where the server knows no other."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        return [{"type": "websocket.close", "code": 1008, "reason": ""}]
    body = refusal.body.encode()
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in refusal.headers]
    if not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(body)).encode("ascii")))
    return [
        {"type": "websocket.http.response.start", "status": refusal.status, "headers": headers},
        {"type": "websocket.http.response.body", "body": body, "more_body": False},
    ]
