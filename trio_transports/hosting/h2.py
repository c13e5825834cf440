"""HTTP/2: what its streams, sharing one socket, need besides the guard on that.

Rules
1. A writer waits while its stream's buffer is full. Hypercorn lets it go on when the peer's window is empty: a peer
   that gives a stream no room would fill the memory.
2. The connection's reader never waits for room: it is the one that hears of it. What it wants to write to a full
   stream (the pong to a ping) is dropped past ``_READER_LIMIT_BYTES``.
3. Aborting a WebSocket resets its stream alone.
4. A stream that was reset in the very read that opened it never starts the app.
5. No more runs of the app are alive on a connection than it may have streams (``h2_max_concurrent_streams``): a run
   goes on when its stream is reset. A stream past that is refused, which a well-meaning peer takes as "try again".
6. Resets and refusals are counted. A peer with more of them than ``_RESETS`` at once, or ``_RESETS_PER_S`` all the
   time, is sent GOAWAY and its connection ends. So is one that keeps this side busy with settings, pings and
   priorities, at ``_NOTICES`` and ``_NOTICES_PER_S``.
7. After each run started, or ended with its stream or connection, the other tasks of the process have their turn.
8. Data for a stream that has ended is thrown away, and the connection's window is given back.
9. Frames are read ``_PIECE_BYTES`` at a time: a hundred of the smallest take h2 several milliseconds.
10. A frame that is longer than a frame may be is refused before it is here. h2 looks at its length when it has all of
    it: 16 MB, if the peer likes.
11. CONNECT is for WebSockets (RFC 8441). For any other protocol, or to be led to another host, it is answered with 501.
12. A WebSocket that is over ends its stream, behind its Close: hypercorn leaves its half of it open, and such halves
    count among the streams that a connection may have. A peer that ends its own half has gone, Close or not.
13. Data for a WebSocket before it is accepted resets its stream: hypercorn's answer would end the whole connection.
14. A priority is kept between streams that are there. Hypercorn keeps one of any stream, also of one that is never
    opened, until its tree of a thousand is full, and the next ends the connection by an error.

h2, imported here, comes with hypercorn.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, final

import h2.events
import trio
from attrs import define, field
from h2.errors import ErrorCodes
from h2.exceptions import FrameTooLargeError, ProtocolError
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, BUFFER_LOW_WATER, BufferCompleteError, H2Protocol, StreamBuffer
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.worker_context import EventWrapper
from priority.priority import MissingStreamError
from trio.lowlevel import ParkingLot

_READER_LIMIT_BYTES: Final = 4 * BUFFER_HIGH_WATER
_PIECE_BYTES: Final = 1024
_FRAME_HEAD_BYTES: Final = 9
_RESETS: Final = 200
_RESETS_PER_S: Final = 20.0
_NOTICES: Final = 1000
_NOTICES_PER_S: Final = 100.0

_COSTLY_EVENTS: Final = (h2.events.RequestReceived, h2.events.StreamReset)
_NOTICE_EVENTS: Final = (h2.events.PingReceived, h2.events.RemoteSettingsChanged, h2.events.PriorityUpdated)


@final
@define(eq=False)
class _Allowance:
    """How much of something a peer may still do: ``_left`` at once, and ``_per_s`` as time goes on."""

    _most: float
    _per_s: float
    _left: float = field(init=False)
    _counted_at: float = field(factory=trio.current_time, init=False)

    def __attrs_post_init__(self) -> None:
        self._left = self._most

    def take(self, count: int) -> bool:
        """Whether that was still within what is allowed."""
        now = trio.current_time()
        self._left = min(self._most, self._left + (now - self._counted_at) * self._per_s) - count
        self._counted_at = now
        return self._left >= 0


class _BoundedBuffer(StreamBuffer):
    def __init__(self, is_reader: Callable[[], bool]) -> None:
        super().__init__(EventWrapper)
        self._is_reader = is_reader
        self._room = ParkingLot()

    async def push(self, data: bytes) -> None:
        if self._complete:
            raise BufferCompleteError
        is_reader = self._is_reader()
        if is_reader and len(self.buffer) >= _READER_LIMIT_BYTES:
            return
        self.buffer.extend(data)
        await self._is_empty.clear()
        while len(self.buffer) >= BUFFER_HIGH_WATER and not self._complete and not is_reader:
            await self._room.park()

    async def pop(self, max_length: int) -> bytes:
        data = await super().pop(max_length)
        if len(self.buffer) < BUFFER_LOW_WATER:
            self._room.unpark_all()
        return data

    def finish(self) -> None:
        """Nothing follows what is here."""
        self.set_complete()
        self._room.unpark_all()

    async def close(self) -> None:
        await super().close()
        self._room.unpark_all()


@final
class GuardedH2(H2Protocol):
    """Hypercorn's HTTP/2, with a bound on what one peer can have it do."""

    def __init__(  # hypercorn's own nine, and two
        self,
        *args: Any,  # noqa: ANN401
        count_runs: Callable[[], int],
        on_refused: Callable[[str], None],
    ) -> None:
        super().__init__(*args)
        self._on_refused = on_refused
        self._count_runs = count_runs
        self._resets = _Allowance(_RESETS, _RESETS_PER_S)
        self._notices = _Allowance(_NOTICES, _NOTICES_PER_S)
        self._bodies: set[int] = set()

    @property
    def is_reading_body(self) -> bool:
        """A plain request is here, and the rest of its body is not."""
        return not self._bodies.isdisjoint(self.streams)

    def bound_stream(self, stream_id: int, is_reader: Callable[[], bool]) -> None:
        """Give a stream that has just been created a buffer that is bounded."""
        self.stream_buffers[stream_id] = _BoundedBuffer(is_reader)

    async def reset_stream(self, stream_id: int) -> None:
        """End one stream at once, at both sides."""
        with suppress(ProtocolError):  # it has ended meanwhile
            self.connection.reset_stream(stream_id, ErrorCodes.CANCEL)
        if stream_id in self.stream_buffers:
            await self.stream_buffers[stream_id].close()
        await super()._handle_events([h2.events.StreamReset(stream_id=stream_id)])

    async def stream_send(self, event: StreamEvent) -> None:
        was_websocket = isinstance(self.streams.get(event.stream_id), WSStream)
        await super().stream_send(event)
        buffer = self.stream_buffers.get(event.stream_id)
        if isinstance(event, StreamClosed) and was_websocket and isinstance(buffer, _BoundedBuffer):  # rule 12
            buffer.finish()
            with suppress(MissingStreamError):
                self.priority.unblock(event.stream_id)
            await self.has_data.set()

    def _is_early(self, stream_id: int) -> bool:
        """Rule 13."""
        stream = self.streams.get(stream_id)
        return isinstance(stream, WSStream) and not stream.closed and not stream.handshake.accepted

    async def _drop_early(self, event: h2.events.DataReceived) -> None:
        with suppress(ProtocolError):
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self.streams[event.stream_id]
        if isinstance(stream, WSStream) and stream.state is ASGIWebsocketState.HANDSHAKE:  # no refusal is on its way
            self._on_refused("request")
            await self.reset_stream(event.stream_id)

    async def _peer_ended(self, stream_id: int) -> None:
        """Rule 12."""
        stream = self.streams.get(stream_id)
        if not isinstance(stream, WSStream):
            return
        if stream.state is ASGIWebsocketState.HANDSHAKE:
            await self.reset_stream(stream_id)
        elif not stream.idle:
            await self.stream_send(StreamClosed(stream_id=stream_id))

    async def handle(self, event: Event) -> None:
        if isinstance(event, Closed):
            self.closed = True
            for stream_id in tuple(self.streams):
                await self._close_stream(stream_id)
                await trio.lowlevel.checkpoint()  # rule 7
            await self.has_data.set()
        elif isinstance(event, RawData):
            for start in range(0, len(event.data), _PIECE_BYTES):
                if start:
                    await trio.lowlevel.checkpoint()  # rule 9
                if not self.closed:
                    await self._take_in(event.data[start : start + _PIECE_BYTES])

    async def _take_in(self, data: bytes) -> None:
        try:
            events = self.connection.receive_data(data)
            self._check_size()
        except ProtocolError:
            self._on_refused("request")
            await self._flush()
            await self.send(Closed())
        else:
            await self._handle_events(events)

    def _check_size(self) -> None:
        """Rule 10."""
        most = self.connection.max_inbound_frame_size + _FRAME_HEAD_BYTES
        if len(self.connection.incoming_buffer._data) > most:
            self.connection.close_connection(ErrorCodes.FRAME_SIZE_ERROR)
            raise FrameTooLargeError("a frame is longer than was agreed on")

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        """Take in what one read has brought."""
        resets = {event.stream_id for event in events if isinstance(event, h2.events.StreamReset)}
        notices = sum(isinstance(event, _NOTICE_EVENTS) for event in events)
        is_too_much = not self._resets.take(len(resets)) or not self._notices.take(notices)  # rule 6
        if is_too_much:
            await self._send_away()
            return
        for event in self._without_ended(events, resets):
            if isinstance(event, h2.events.RequestReceived) and self._count_runs() >= self._most_runs:  # rule 5
                if not await self._refuse(event.stream_id):
                    return
                continue
            if isinstance(event, h2.events.RequestReceived) and _tunnels_something_else(event.headers or ()):
                self._answer_501(event.stream_id)
                continue
            if isinstance(event, h2.events.DataReceived) and self._is_early(event.stream_id):
                await self._drop_early(event)
                continue
            await super()._handle_events([event])
            self._keep_bodies(event)
            if isinstance(event, h2.events.StreamEnded):
                await self._peer_ended(event.stream_id)
            if isinstance(event, _COSTLY_EVENTS):
                await trio.lowlevel.checkpoint()  # rule 7
        await self._flush()

    def _keep_bodies(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            if event.stream_ended is None and isinstance(self.streams.get(event.stream_id), HTTPStream):
                self._bodies.add(event.stream_id)
        elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
            self._bodies.discard(event.stream_id)

    @property
    def _most_runs(self) -> int:
        return max(1, self.config.h2_max_concurrent_streams)

    def _without_ended(self, events: Iterable[h2.events.Event], resets: set[int]) -> Iterable[h2.events.Event]:
        for event in events:
            if isinstance(event, h2.events.RequestReceived) and event.stream_id in resets:  # rule 4
                pass
            elif isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:  # rule 8
                with suppress(ProtocolError):
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.PriorityUpdated) and not self._has_streams_of(event):  # rule 14
                pass
            else:
                yield event

    def _has_streams_of(self, event: h2.events.PriorityUpdated) -> bool:
        return event.stream_id in self.streams and (not event.depends_on or event.depends_on in self.streams)

    async def _refuse(self, stream_id: int) -> bool:
        if not self._resets.take(1):
            await self._send_away()
            return False
        self._on_refused("stream")
        with suppress(ProtocolError):
            self.connection.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        return True

    def _answer_501(self, stream_id: int) -> None:
        """Rule 11."""
        self._on_refused("request")
        with suppress(ProtocolError):
            headers = [(b":status", b"501"), *self.config.response_headers("h2")]
            self.connection.send_headers(stream_id, headers, end_stream=True)
            self.connection.reset_stream(stream_id, ErrorCodes.NO_ERROR)

    async def _send_away(self) -> None:
        self._on_refused("flood")
        with suppress(ProtocolError):
            self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
        await self._flush()
        await self.send(Closed())


def _tunnels_something_else(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    said = {name: value.lower() for name, value in headers if name.startswith(b":")}
    return said.get(b":method") == b"connect" and said.get(b":protocol") != b"websocket"
