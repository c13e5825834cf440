"""One run of the app: a request or a WebSocket, from hypercorn's call to the app's return.

Rules
1. An exception of the app is logged once and ends this run alone. How calls end (``ConnectionClosed``, a refused
   handshake) is no fault of the app, and is not logged as one.
2. A run that is cancelled while its WebSocket is open says 1001 before it goes, within ``_FAREWELL_S``.
3. What hypercorn writes after the app has returned is bounded; past that the stream is aborted.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, cast, final

import trio
from attrs import define, field
from hypercorn.config import Config
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

from ..errors import ConnectionClosed
from ..wire.asgi import EXTENSION
from .app_queue import AppQueue, ASGIEvent
from .boundary import boundary
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
    _queue: AppQueue
    websocket: HostedWebsocket | None
    _abort: Callable[[], None]
    _finish_timeout_s: float
    _cancel: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    @classmethod
    def of(
        cls,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: SendToPeer,
        *,
        abort_stream: Callable[[int], None],
        start_soon: StartSoon,
        finish_timeout_s: float,
    ) -> "AppRun":
        queue = AppQueue(max(1, config.max_app_queue_size))
        # The bound method's owner is hypercorn's stream: the one way to it from here.
        stream = send.__self__  # type: ignore[attr-defined]

        def abort() -> None:
            abort_stream(stream.stream_id)

        websocket: HostedWebsocket | None = None
        if scope["type"] == "websocket":
            websocket = HostedWebsocket(cast(WSStream, stream), queue, abort, start_soon)
            scope["extensions"][EXTENSION] = {"connection": websocket}
        return cls(app, config, scope, send, queue, websocket, abort, finish_timeout_s)

    async def put(self, event: ASGIEvent) -> None:
        if event["type"] == "websocket.disconnect":
            self.peer_left()
        elif event["type"] == "http.disconnect":
            self._queue.disconnect(event)
        else:
            await self._queue.put(event)

    def peer_left(self, reason: str = "") -> None:
        if self.websocket is not None:
            self.websocket.end(ConnectionClosed(1006, reason, initiator="error"))
        else:
            self._queue.disconnect({"type": "http.disconnect"})

    def cancel(self) -> None:
        self._cancel.cancel()

    async def run(self, say_goodbye: Callable[[], Awaitable[None]]) -> None:
        """Call the app, then let hypercorn finish what the app left open. ``say_goodbye`` closes the connection."""
        with self._cancel:
            try:
                await self._call_app()
                self._queue.app_returned()
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
            finally:
                self._queue.app_returned()

    async def _call_app(self) -> None:
        receive = cast(Callable[[], Awaitable[ASGIReceiveEvent]], self._queue.receive)
        async with boundary(self._config.log, "Error in ASGI Framework (%s)", self._scope.get("path")):
            await self._app(self._scope, receive, self._send, trio.to_thread.run_sync, trio.from_thread.run)
