"""One run of the app: a request or a WebSocket, from hypercorn's call to the app's return.

Rules
1. An exception of the app, SystemExit too, is logged once and ends this run alone. How its own call ended
   (``ConnectionClosed``, a refused handshake) is no fault of the app, and is not logged as one; how another did that
   the app made, is.
2. A run that is cancelled while its WebSocket is open says 1001 before it goes, within ``_FAREWELL_S``.
3. What hypercorn writes after the app has returned is bounded; past that the stream is aborted.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, cast, final

import trio
from attrs import define, field
from hypercorn.config import Config
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope, WebsocketScope

from .._showing import shown_text
from ..errors import Ending
from ..wire.asgi import EXTENSION
from .app_queue import AppQueue, ASGIEvent
from .boundary import boundary
from .ways import Ways
from .websocket import HostedWebsocket

_FAREWELL_S: Final = 0.25

SendToPeer: TypeAlias = Callable[[ASGISendEvent | None], Awaitable[None]]
StartSoon: TypeAlias = Callable[[Callable[[], Awaitable[object]]], None]


@final
@define(eq=False)
class AppRun:
    _app: AppWrapper
    _config: Config
    _scope: Scope
    _send: SendToPeer
    _stream: HTTPStream | WSStream
    _abort: Callable[[], None]
    _finish_timeout_s: float
    _start_soon: StartSoon
    _interrupt: Callable[[], Awaitable[None]]
    _queue: AppQueue = field(init=False)
    websocket: HostedWebsocket | None = field(default=None, init=False)
    _cancel: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def __attrs_post_init__(self) -> None:
        self._queue = AppQueue(max(1, self._config.max_app_queue_size))
        if isinstance(self._stream, WSStream):
            ways = Ways(self._queue, self._send)
            self.websocket = HostedWebsocket(self._stream, self._queue, self._abort, self._start_soon, ways)
            cast(WebsocketScope, self._scope)["extensions"][EXTENSION] = {"connection": self.websocket}

    async def put(self, event: ASGIEvent) -> None:
        """Give the app an event of hypercorn's; of ``websocket.disconnect``, only that the peer has gone."""
        if event["type"] == "websocket.disconnect":
            self.peer_left()
        elif event["type"] == "http.disconnect":
            self._queue.disconnect(event)
        else:
            await self._queue.put(event)

    def peer_left(self, reason: str = "") -> None:
        """The connection is gone: 1006 to the app, unless a Close was heard first."""
        if self.websocket is not None:
            self.websocket.end(Ending(1006, reason, "error"))
        else:
            self._queue.disconnect({"type": "http.disconnect"})

    def cancel(self) -> None:
        self._cancel.cancel()

    async def run(self, say_goodbye: Callable[[], Awaitable[None]]) -> None:
        """Call the app, then let hypercorn finish what the app left open. ``say_goodbye`` closes the connection."""
        with self._cancel:
            try:
                try:
                    await self._call_app()
                finally:
                    self._app_returned()
                with trio.move_on_after(self._finish_timeout_s) as finishing:
                    await self._send(None)
                if finishing.cancelled_caught:
                    self._abort()
            except trio.Cancelled:
                with trio.move_on_after(_FAREWELL_S, shield=True):
                    if self.websocket is not None and self.websocket.is_open:
                        await self._send({"type": "websocket.close", "code": 1001, "reason": "server shutting down"})
                    await say_goodbye()
                raise

    def _app_returned(self) -> None:
        self._queue.app_returned()
        if self.websocket is not None:
            self.websocket.ways.close()

    async def _call_app(self) -> None:
        receive = cast(Callable[[], Awaitable[ASGIReceiveEvent]], self._queue.receive)
        where = shown_text(str(self._scope.get("path", "")))  # hypercorn has unquoted it
        async with boundary(
            self._config.log,
            "Error in ASGI Framework (%s)",
            where,
            on_interrupt=self._interrupt,
            is_over=self._is_over,
        ):
            await self._app(self._scope, receive, self._send, trio.to_thread.run_sync, trio.from_thread.run)

    def _is_over(self) -> bool:
        return self.websocket is not None and self.websocket.has_ended_well
