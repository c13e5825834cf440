"""One WebSocket of the app, as the guard sees it: what hypercorn knows of its end and does not pass on.

Rules
1. permessage-deflate is never agreed on: hypercorn inflates before it looks at the size, and audio does not shrink.
2. How the connection ended is read off the frames: hypercorn itself reports every end that the peer began as 1006.
3. A peer that breaks the protocol is told so (1002, 1007) before the connection closes.
4. A message over hypercorn's limit, or that of the app's wire, is answered with 1009, and the app hears of it at once,
   not when the peer likes. What the peer still sends after a close from this side is thrown away instead of gathered.
5. A ping that is being written is not cut short by the end of the connection: that would take along the answer to the
   peer's close, which waits behind it.
6. Frames are read and written here, by the parser of the direct engine: wsproto's way, made for clients and extensions
   too, costs many times as much.
7. A session's own messages take the short way (``short_way``) where nothing of the app stands between it and the
   server's ``receive`` and ``send``. Everything else that ASGI knows stays as it is.

wsproto, imported here, comes with hypercorn.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import cast, final

import trio
from attrs import define, field
from hypercorn.protocol.events import Data
from hypercorn.protocol.ws_stream import ASGIWebsocketState, Handshake, WSStream
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from ..errors import Ending
from ..wire import rfc6455
from ..wire.rfc6455 import Opcode, Parser, Received, Violation, encode_frame
from .app_queue import AppQueue, ASGIEvent
from .short_way import Frames, ShortWay


class _Farewell(Ping):
    """Hypercorn sends whatever a ping has as its response: this one has the close frame that hypercorn leaves out."""

    def response(self) -> CloseConnection:  # type: ignore[override]
        return CloseConnection(code=int.from_bytes(self.payload, "big"))


class _WatchedConnection(Connection):
    """wsproto's connection, telling the websocket what passes through it; the frames are read here (rule 6)."""

    def __init__(self, websocket: "HostedWebsocket", max_message_bytes: int) -> None:
        self._websocket = websocket
        self._parser = Parser(from_client=True, max_message_bytes=max_message_bytes)
        self._received: deque[Received] = deque()
        self._violation: Violation | None = None
        super().__init__(ConnectionType.SERVER)  # last: it asks ``receive_data`` at once

    @property
    def may_send(self) -> bool:
        return self.state is ConnectionState.OPEN

    def limit_messages(self, max_bytes: int) -> None:
        self._parser.max_message_bytes = min(self._parser.max_message_bytes, max_bytes)

    def receive_data(self, data: bytes | None) -> None:
        if data is None or self._violation is not None:
            return
        if self.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            try:
                self._received += self._parser.feed(bytes(data))
            except Violation as violation:
                self._received += violation.received
                self._violation = violation

    def take_messages(self, data: bytes) -> list[str | bytes]:
        """Take in bytes and give the messages that they complete, up to what is none: that stays for ``events``."""
        self.receive_data(data)
        messages: list[str | bytes] = []
        while self._received and isinstance(self._received[0], str | bytes):
            messages.append(self._received.popleft())  # type: ignore[arg-type]  # mypy narrows no item of a deque
        return messages if self.state is ConnectionState.OPEN else []  # rule 4

    @property
    def has_rest(self) -> bool:
        """Something is left for ``events``."""
        return bool(self._received) or self._violation is not None

    def events(self) -> Generator[Event, None, None]:
        while self._received:
            match self._received.popleft():
                case str(text):
                    if self.state is not ConnectionState.LOCAL_CLOSING:  # rule 4
                        yield TextMessage(data=text)
                case bytes(data):
                    if self.state is not ConnectionState.LOCAL_CLOSING:
                        yield BytesMessage(data=data)
                case rfc6455.Ping(payload):
                    yield Ping(payload=payload)
                case rfc6455.Pong():
                    self._websocket.pong_received()
                case rfc6455.Close(code, reason):
                    is_answer = self.state is ConnectionState.LOCAL_CLOSING
                    self._state = ConnectionState.CLOSED if is_answer else ConnectionState.REMOTE_CLOSING
                    self._websocket.close_received(code, reason, is_answer=is_answer)
                    yield CloseConnection(code=code, reason=reason)
        if self._violation is not None and self.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            yield from self._breach(self._violation)

    def _breach(self, violation: Violation) -> Generator[Event, None, None]:
        if violation.code != CloseReason.MESSAGE_TOO_BIG:  # of that ``send`` tells
            self._websocket.end(Ending(violation.code, violation.reason, "error"))
        if self.state is ConnectionState.OPEN:
            yield _Farewell(payload=violation.code.to_bytes(2, "big"))  # rule 3
        yield CloseConnection(code=violation.code, reason=violation.reason)

    def send(self, event: Event) -> bytes:
        if isinstance(event, Message) and event.message_finished and self.state is ConnectionState.OPEN:
            # Rule 6. Hypercorn sends whole messages only, so none is half sent when this one begins.
            if isinstance(event, TextMessage):
                return encode_frame(Opcode.TEXT, event.data.encode(), masked=False)
            return encode_frame(Opcode.BINARY, bytes(event.data), masked=False)
        data = super().send(event)
        if isinstance(event, CloseConnection):
            if event.code == CloseReason.MESSAGE_TOO_BIG:
                reason = event.reason or "a message is over the server's limit"
                self._websocket.end(Ending(event.code, reason, "local"))
            elif event.code == CloseReason.INTERNAL_ERROR and self.state is ConnectionState.LOCAL_CLOSING:
                self._websocket.app_failed = True
        return data


class _PlainHandshake(Handshake):
    """Hypercorn's answer to an upgrade request, without compression and with a watched connection."""

    def __init__(self, websocket: "HostedWebsocket", headers: list[tuple[bytes, bytes]], http_version: str) -> None:
        super().__init__(headers, http_version)
        self.extensions = None
        self._websocket = websocket

    def accept(
        self, subprotocol: str | None, additional_headers: Iterable[tuple[bytes, bytes]]
    ) -> tuple[int, list[tuple[bytes, bytes]], Connection]:
        status, headers, _ = super().accept(subprotocol, additional_headers)
        return status, headers, self._websocket.connect()


@final
@define(eq=False)
class HostedWebsocket:
    """What the app finds in its scope: ``wire.asgi.ServerConnection``."""

    _stream: WSStream
    _queue: AppQueue
    _abort: Callable[[], None]
    _start_soon: Callable[[Callable[[], Awaitable[object]]], None]
    _app_send: Callable[..., Awaitable[None]]
    open_short_way: Callable[[AppQueue, Frames], ShortWay] | None = field(default=None, init=False)
    """How the connection lends its socket, where it may."""
    _short_way: ShortWay | None = field(default=None, init=False)
    ending: Ending | None = field(default=None, init=False)
    peer_said_goodbye: bool = field(default=False, init=False)
    """The peer sends nothing more: closing the socket cannot reset it under a frame that is still on its way."""
    app_failed: bool = field(default=False, init=False)
    """This side has closed with 1011."""
    on_accepted: Callable[[], None] | None = field(default=None, init=False)
    _told: list[Callable[[], Awaitable[object]]] = field(factory=list, init=False)
    _is_shutting_down: bool = field(default=False, init=False)
    _connection: _WatchedConnection | None = field(default=None, init=False)
    _pong: trio.Event = field(factory=trio.Event, init=False)
    _keepalive: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def __attrs_post_init__(self) -> None:
        scope = self._stream.scope
        headers = cast(list[tuple[bytes, bytes]], scope["headers"])
        self._stream.handshake = _PlainHandshake(self, headers, scope["http_version"])

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
        if self._is_shutting_down:
            self._start_soon(callback)
        else:
            self._told.append(callback)
        return lambda: self._told.remove(callback) if callback in self._told else None

    def limit_messages(self, max_bytes: int) -> None:
        """Refuse a longer message as it comes in, before there is as much of it as hypercorn would gather."""
        buffer = self._stream.buffer
        buffer.max_length = self._queue.max_message_bytes = min(buffer.max_length, max_bytes)
        if self._connection is not None:
            self._connection.limit_messages(max_bytes)

    def short_way(self, receive: Callable[..., object], send: Callable[..., object]) -> ShortWay | None:
        """Messages without ASGI's events, for who would else call ``receive`` and ``send``: None unless these are ours.

        An app's middleware that looks at the events still sees them all.
        """
        if self.open_short_way is None or self._short_way is not None or not self.is_open:
            return None
        if receive != self._queue.receive or send != self._app_send or self._connection is None:
            return None
        self._short_way = self.open_short_way(self._queue, self._connection)
        self._queue.on_receive = self._short_way.decline
        return self._short_way

    def keep_alive(self, interval_s: float, timeout_s: float) -> None:
        """Ping the peer from now on, and end the connection when it leaves one unanswered."""
        self._start_soon(lambda: self._ping(interval_s, timeout_s))

    # -- for the connection --------------------------------------------------------------------------------------

    async def put(self, event: ASGIEvent) -> None:
        if event["type"] == "websocket.disconnect":
            self.end(Ending(1006, "", "error"))
        else:
            await self._queue.put(event)

    def end(self, ending: Ending) -> None:
        """Tell the app, after what is queued, that the connection is over. The first to say so is believed."""
        if self.ending is None:
            self.ending = ending
            self._queue.disconnect({"type": "websocket.disconnect", "code": ending.code, "reason": ending.reason})
            self._keepalive.cancel()
            self.app_left()

    def app_left(self) -> None:
        """Nobody takes messages any more."""
        if self._short_way is not None:
            self._short_way.close()

    async def handle_rest(self) -> None:
        """Work on what the short way has read and is no message."""
        await self._stream.handle(Data(stream_id=self._stream.stream_id, data=b""))

    def connect(self) -> Connection:
        self._connection = _WatchedConnection(self, self._stream.buffer.max_length)
        if self.on_accepted is not None:
            self.on_accepted()
        return self._connection

    def close_received(self, code: int, reason: str, *, is_answer: bool) -> None:
        self.peer_said_goodbye = True
        self.end(Ending(code, reason, "local" if is_answer else "remote"))

    def pong_received(self) -> None:
        self._pong.set()

    def shut_down(self) -> None:
        self._is_shutting_down = True
        while self._told:
            self._start_soon(self._told.pop())

    async def _ping(self, interval_s: float, timeout_s: float) -> None:
        with self._keepalive:
            while True:
                await trio.sleep(interval_s)
                self._pong = trio.Event()
                with trio.move_on_after(timeout_s) as waiting:
                    await self._send_ping(waiting.deadline)
                    await self._pong.wait()
                if waiting.cancelled_caught:
                    reason = f"the peer left a ping unanswered for {timeout_s:g} s"
                    self.end(Ending(1006, reason, "error"))
                    self._abort()
                    return

    async def _send_ping(self, deadline_s: float) -> None:
        try:
            data = self._stream.connection.send(Ping())
        except LocalProtocolError:  # this side is closing, and a close is bounded by whoever began it
            return
        with trio.CancelScope(shield=True, deadline=deadline_s):
            await self._stream.send(Data(stream_id=self._stream.stream_id, data=data))
