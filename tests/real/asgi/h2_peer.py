"""An HTTP/2 client, with WebSockets over it (RFC 8441)."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import final

import trio
from attrs import define, field
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import StreamClosedError


@final
@define(eq=False)
class Stream:
    """What has arrived on one stream."""

    id: int
    status: int = 0
    data: bytes = b""
    is_over: bool = False
    was_reset: bool = False
    reset_code: int | None = None
    """With what the server reset it."""
    reads: bool = True
    """Whether to give the server more room on this stream as data arrives."""


@final
@define(eq=False)
class H2Peer:
    _stream: "trio.SocketStream | trio.SSLStream[trio.SocketStream]"
    _h2: H2Connection
    _streams: dict[int, Stream] = field(factory=dict, init=False)
    _writing: trio.Lock = field(factory=trio.Lock, init=False)
    _news: trio.Condition = field(factory=trio.Condition, init=False)
    sent_away_with: int | None = field(default=None, init=False)
    """The code of the server's GOAWAY."""
    is_over: bool = field(default=False, init=False)

    async def open(
        self, method: str, path: str, *, websocket: bool = False, has_body: bool = False, protocol: str = "websocket"
    ) -> Stream:
        headers = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        if websocket:
            headers += [(":protocol", protocol), ("sec-websocket-version", "13")]
        stream = Stream(self._h2.get_next_available_stream_id())
        self._streams[stream.id] = stream
        self._h2.send_headers(stream.id, headers, end_stream=not (websocket or has_body))
        await self._flush()
        return stream

    async def send(self, stream: Stream, data: bytes) -> None:
        self._h2.send_data(stream.id, data)
        await self._flush()

    async def end(self, stream: Stream) -> None:
        """Say that nothing more is sent on this stream."""
        with suppress(StreamClosedError):  # the server has reset it
            self._h2.end_stream(stream.id)
        await self._flush()

    async def reset(self, stream: Stream) -> None:
        """Reset it, unless the answer has come meanwhile: on a busy machine it may be first."""
        if not stream.is_over:
            self._h2.reset_stream(stream.id, ErrorCodes.CANCEL)
            await self._flush()

    async def until(self, condition: Callable[[], object]) -> None:
        async with self._news:
            while not condition():
                await self._news.wait()

    async def read(self) -> None:
        """Take in what the server sends, until it closes."""
        while True:
            try:
                data = await self._stream.receive_some()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            for event in self._h2.receive_data(data) if data else ():
                if isinstance(event, ResponseReceived):
                    self._streams[event.stream_id].status = int(dict(event.headers)[b":status"])
                elif isinstance(event, DataReceived):
                    stream = self._streams[event.stream_id]
                    stream.data += event.data
                    if stream.reads:
                        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    else:  # the connection's window stays open for the other streams
                        self._h2.increment_flow_control_window(event.flow_controlled_length)
                elif isinstance(event, StreamEnded | StreamReset):
                    stream = self._streams[event.stream_id]
                    stream.is_over = True
                    stream.was_reset = isinstance(event, StreamReset)
                    stream.reset_code = event.error_code if isinstance(event, StreamReset) else None
                elif isinstance(event, ConnectionTerminated):
                    self.sent_away_with = event.error_code
            if data:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._flush()
            else:
                self.is_over = True
                for stream in self._streams.values():
                    stream.is_over = True
            async with self._news:
                self._news.notify_all()
            if not data:
                return

    async def _flush(self) -> None:
        async with self._writing:
            data = self._h2.data_to_send()
            if data:
                await self._stream.send_all(data)


@asynccontextmanager
async def h2_over(stream: "trio.SocketStream | trio.SSLStream[trio.SocketStream]") -> AsyncIterator[H2Peer]:
    """Speak HTTP/2 on a connection that is there."""
    h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    h2.initiate_connection()
    peer = H2Peer(stream, h2)
    await peer._flush()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.read)
        yield peer
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def h2_peer(port: int, *, client_ssl: ssl.SSLContext | None = None) -> AsyncIterator[H2Peer]:
    """Connect; without TLS by prior knowledge."""
    tcp = await trio.open_tcp_stream("127.0.0.1", port)
    try:
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] = tcp
        if client_ssl is not None:
            stream = trio.SSLStream(tcp, client_ssl, server_hostname="localhost", https_compatible=True)
        async with h2_over(stream) as peer:
            yield peer
    finally:
        tcp.socket.close()
