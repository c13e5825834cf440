"""wsproto's part in a WebSocket of hypercorn's, watched: what passes through it, and ends it, is told.

Rules
1. permessage-deflate is never agreed on: hypercorn inflates before it looks at the size, and audio does not shrink.
2. Frames are read and written here, by the parser of the direct engine: wsproto's way, made for clients and extensions
   too, costs many times as much.
3. A peer that breaks the protocol is told so (1002, 1007) before the connection closes.
4. What the peer still sends after a close from this side is thrown away instead of gathered.

wsproto, imported here, comes with hypercorn.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Protocol

from hypercorn.protocol.ws_stream import Handshake
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from ..errors import Ending
from ..wire import rfc6455
from ..wire.rfc6455 import Opcode, Parser, Received, Violation, encode_frame


class Watching(Protocol):
    """The WebSocket that is told."""

    def pong_received(self) -> None: ...

    def close_received(self, code: int, reason: str, *, is_answer: bool) -> None: ...

    def failed(self) -> None:
        """This side has closed with 1011."""

    def end(self, ending: Ending) -> None: ...


class _Farewell(Ping):
    """Hypercorn sends whatever a ping has as its response: this one has the close frame that hypercorn leaves out."""

    def response(self) -> CloseConnection:  # type: ignore[override]
        return CloseConnection(code=int.from_bytes(self.payload, "big"))


class WatchedConnection(Connection):
    """wsproto's connection, telling the websocket what passes through it; the frames are read here (rule 2)."""

    def __init__(self, watching: Watching, max_message_bytes: int) -> None:
        self._watching = watching
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
                    self._watching.pong_received()
                case rfc6455.Close(code, reason):
                    is_answer = self.state is ConnectionState.LOCAL_CLOSING
                    self._state = ConnectionState.CLOSED if is_answer else ConnectionState.REMOTE_CLOSING
                    self._watching.close_received(code, reason, is_answer=is_answer)
                    yield CloseConnection(code=code, reason=reason)
        if self._violation is not None and self.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            yield from self._breach(self._violation)

    def _breach(self, violation: Violation) -> Generator[Event, None, None]:
        if violation.code != CloseReason.MESSAGE_TOO_BIG:  # of that ``send`` tells
            self._watching.end(Ending(violation.code, violation.reason, "error"))
        if self.state is ConnectionState.OPEN:
            yield _Farewell(payload=violation.code.to_bytes(2, "big"))  # rule 3
        yield CloseConnection(code=violation.code, reason=violation.reason)

    def send(self, event: Event) -> bytes:
        if isinstance(event, Message) and event.message_finished and self.state is ConnectionState.OPEN:
            # Rule 2. Hypercorn sends whole messages only, so none is half sent when this one begins.
            if isinstance(event, TextMessage):
                return encode_frame(Opcode.TEXT, event.data.encode(), masked=False)
            return encode_frame(Opcode.BINARY, bytes(event.data), masked=False)
        data = super().send(event)
        if isinstance(event, CloseConnection):
            if event.code == CloseReason.MESSAGE_TOO_BIG:
                reason = event.reason or "a message is over the server's limit"
                self._watching.end(Ending(event.code, reason, "local"))
            elif event.code == CloseReason.INTERNAL_ERROR and self.state is ConnectionState.LOCAL_CLOSING:
                self._watching.failed()
        return data


class PlainHandshake(Handshake):
    """Hypercorn's answer to an upgrade request, without compression (rule 1) and with a watched connection."""

    def __init__(self, connect: Callable[[], Connection], headers: list[tuple[bytes, bytes]], version: str) -> None:
        super().__init__(headers, version)
        self.extensions = None
        self._connect = connect

    def accept(
        self, subprotocol: str | None, additional_headers: Iterable[tuple[bytes, bytes]]
    ) -> tuple[int, list[tuple[bytes, bytes]], Connection]:
        status, headers, _ = super().accept(subprotocol, additional_headers)
        return status, headers, self._connect()
