"""``/health`` and ``/metrics``: what those ask who keep the server running."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from ..frames import JSONValue
from ..hosting.leaving import is_leaving
from ..observe import ProcessFigures, ServerFigures
from ..playground.asgi import Receive, Route, Scope, Send, answer, answer_json, refuse_websocket

Gather: TypeAlias = Callable[[], Awaitable[tuple[ServerFigures, list[ProcessFigures]]]]
"""Asks for the figures of all processes of this server."""


def health_route(calls: Callable[[], int]) -> Route:
    """200 while calls are taken, 503 from when the server leaves; ``calls`` are those under way in this process."""

    async def health(scope: Scope, send: Send) -> None:
        leaves = is_leaving(scope)
        told: JSONValue = {"status": "leaving" if leaves else "ok", "calls": calls()}
        await answer_json(scope, send, 503 if leaves else 200, told, headers=[(b"cache-control", b"no-store")])

    return partial(_get, health)


def metrics_route(gather: Gather) -> Route:
    """Prometheus' text; 501 without the extra ``metrics``."""

    async def metrics(scope: Scope, send: Send) -> None:
        try:
            from ..observe.prometheus import CONTENT_TYPE, metrics_text
        except ImportError as exc:
            await answer(scope, send, 501, f"{exc}\n".encode())
            return
        await answer(scope, send, 200, metrics_text(*await gather()), kind=CONTENT_TYPE)

    return partial(_get, metrics)


async def _get(page: Callable[[Scope, Send], Awaitable[None]], scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await refuse_websocket(scope, receive, send)
    elif scope["method"] in ("GET", "HEAD"):
        await page(scope, send)
    else:
        await answer(scope, send, 405, b"only GET and HEAD\n", headers=[(b"allow", b"GET, HEAD")])
