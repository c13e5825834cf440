"""One WebSocket of the app, as the guard sees it: what hypercorn knows of its end and does not pass on.

Rules
1. How the connection ended is read off the frames (``watched``): hypercorn itself reports every end that the peer began
   as 1006.
2. A message over hypercorn's limit, or that of the app's wire, is answered with 1009, and the app hears of it at once,
   not when the peer likes.
3. A session's own messages take the short way (``ways``) where nothing of the app stands between it and the server's
   ``receive`` and ``send``. Everything else that ASGI knows stays as it is.

wsproto, imported here, comes with hypercorn.
"""

from collections.abc import Awaitable, Callable
from typing import cast, final

from attrs import define, field
from hypercorn.protocol.events import Data
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from wsproto.connection import Connection

from ..errors import Ending
from .app_queue import AppQueue
from .keepalive import Keepalive
from .on_shutdown import OnShutdown
from .short_way import HostedShortWay
from .watched import PlainHandshake, WatchedConnection
from .ways import Ways


@final
@define(eq=False)
class HostedWebsocket:
    """What the app finds in its scope: ``wire.asgi.ServerConnection``."""

    _stream: WSStream
    _queue: AppQueue
    _abort: Callable[[], None]
    _start_soon: Callable[[Callable[[], Awaitable[object]]], None]
    ways: Ways
    _keepalive: Keepalive = field(init=False)
    _on_shutdown: OnShutdown = field(init=False)
    _connection: WatchedConnection | None = field(default=None, init=False)
    on_accepted: Callable[[], None] | None = field(default=None, init=False)
    ending: Ending | None = field(default=None, init=False)
    peer_said_goodbye: bool = field(default=False, init=False)
    """The peer sends nothing more: closing the socket cannot reset it under a frame that is still on its way."""
    app_failed: bool = field(default=False, init=False)
    """This side has closed with 1011."""

    def __attrs_post_init__(self) -> None:
        scope = self._stream.scope
        headers = cast(list[tuple[bytes, bytes]], scope["headers"])
        self._stream.handshake = PlainHandshake(self._connect, headers, scope["http_version"])
        self._keepalive = Keepalive(self._stream)
        self._on_shutdown = OnShutdown(self._start_soon)

    @property
    def is_open(self) -> bool:
        return self.ending is None and self._stream.state is ASGIWebsocketState.CONNECTED

    @property
    def has_ended_well(self) -> bool:
        """The call is over, or never began, and not because the app has failed in it."""
        return not self.is_open and not self.app_failed

    @property
    def is_refused(self) -> bool:
        """Hypercorn has refused the request after the app was started (bytes came too early), and told nobody."""
        return self.ending is None and self._stream.closed

    @property
    def is_accepted(self) -> bool:
        """The app has accepted, whether or not through a wire of this library."""
        return self._stream.state is ASGIWebsocketState.CONNECTED

    @property
    def was_accepted(self) -> bool:
        return self._connection is not None

    # -- for the app's wire --------------------------------------------------------------------------------------

    def abort(self) -> None:
        self.end(Ending(1006, "aborted", "local"))
        self._abort()

    def on_shutdown(self, callback: Callable[[], Awaitable[object]]) -> Callable[[], None]:
        """Have ``callback`` called once, in a task of the connection, when the server stops; returns its removal."""
        return self._on_shutdown.call(callback)

    def limit_messages(self, max_bytes: int) -> None:
        """Refuse a longer message as it comes in, before there is as much of it as hypercorn would gather."""
        buffer = self._stream.buffer
        buffer.max_length = self._queue.max_message_bytes = min(buffer.max_length, max_bytes)
        if self._connection is not None:
            self._connection.limit_messages(max_bytes)

    def short_way(self, receive: Callable[..., object], send: Callable[..., object]) -> HostedShortWay | None:
        """Rule 3, once it is open; see ``Ways.short``."""
        if self._connection is None or not self.is_open:
            return None
        return self.ways.short(receive, send, self._connection)

    def keep_alive(self, interval_s: float, timeout_s: float) -> None:
        """Ping the peer from now on, and end the connection when it leaves one unanswered."""

        async def ping() -> None:
            if await self._keepalive.missed_a_pong(interval_s, timeout_s):
                self.end(Ending(1006, f"the peer left a ping unanswered for {timeout_s:g} s", "error"))
                self._abort()

        self._start_soon(ping)

    # -- for the connection --------------------------------------------------------------------------------------

    def end(self, ending: Ending) -> None:
        """Tell the app, after what is queued, that the connection is over. The first to say so is believed."""
        if self.ending is None:
            self.ending = ending
            self._queue.disconnect({"type": "websocket.disconnect", "code": ending.code, "reason": ending.reason})
            self._keepalive.stop()
            self.ways.close()

    async def handle_rest(self) -> None:
        """Work on what the short way has read and is no message."""
        await self._stream.handle(Data(stream_id=self._stream.stream_id, data=b""))

    def shut_down(self) -> None:
        self._on_shutdown.begin()

    # -- for what is watched -------------------------------------------------------------------------------------

    def _connect(self) -> Connection:
        self._connection = WatchedConnection(self, self._stream.buffer.max_length)
        if self.on_accepted is not None:
            self.on_accepted()
        return self._connection

    def close_received(self, code: int, reason: str, *, is_answer: bool) -> None:
        self.peer_said_goodbye = True
        self.end(Ending(code, reason, "local" if is_answer else "remote"))

    def pong_received(self) -> None:
        self._keepalive.pong_received()

    def failed(self) -> None:
        self.app_failed = True
