"""Two ends of a real connection over loopback, by any engine."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from trio_transports.wire import Peer, Wire
from trio_transports.wire.engines import Engine, engine_named
from trio_transports.wire.refusal import Refusal
from trio_transports.wire.settings import WireSettings
from trio_transports.wire.stream import TCPStream
from trio_transports.wire.wakes import SharedWakes

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def everybody(_peer: Peer) -> Refusal | None:
    return None


@asynccontextmanager
async def stream_pair(
    server_ssl: ssl.SSLContext | None = None, client_ssl: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[TCPStream, TCPStream]]:
    """Two ends of one TCP connection, with small buffers, so that a peer that does not read is soon felt."""
    async with (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] as listener:
        listener.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 16384)
        near = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        far = await listener.accept()
    for stream in (near, far):
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 16384)
    try:
        if server_ssl is None or client_ssl is None:
            yield near, far
        else:
            yield (
                trio.SSLStream(near, client_ssl, server_hostname="localhost", https_compatible=True),
                trio.SSLStream(far, server_ssl, server_side=True, https_compatible=True),
            )
    finally:
        near.socket.close()
        far.socket.close()


@asynccontextmanager
async def wire_pair(
    client: Engine,
    server: Engine,
    *,
    max_message_bytes: int,
    server_ssl: ssl.SSLContext | None = None,
    client_ssl: ssl.SSLContext | None = None,
    wakes: SharedWakes | None = None,
) -> AsyncIterator[tuple[Wire, Wire]]:
    """A client's and a server's wire, connected; each lives in a task of its own, as in life."""
    settings = WireSettings(max_message_bytes=max_message_bytes)
    wires: dict[str, Wire] = {}
    done = trio.Event()
    async with stream_pair(server_ssl, client_ssl) as (near, far), trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[None]) -> None:
            async with server.accept(far, admit=everybody, settings=settings, wakes=wakes) as wire:
                wires["server"] = wire
                task_status.started()
                await done.wait()

        async def connect(task_status: trio.TaskStatus[None]) -> None:
            async with client.connect(
                near, url="ws://test/", host="localhost", resource="/", settings=settings
            ) as wire:
                wires["client"] = wire
                task_status.started()
                await done.wait()

        async with trio.open_nursery() as opening:
            opening.start_soon(nursery.start, serve)
            opening.start_soon(nursery.start, connect)
        yield wires["client"], wires["server"]
        done.set()


@asynccontextmanager
async def server_and_peer(engine: str) -> AsyncIterator[tuple[Wire, trio.SocketStream]]:
    """A server's wire, and a client that has shaken hands and from then on says what bytes it likes."""
    settings = WireSettings(max_message_bytes=1000, ping_interval_s=None)
    async with stream_pair() as (near, far), trio.open_nursery() as nursery:
        assert isinstance(near, trio.SocketStream)
        done, wires = trio.Event(), list[Wire]()

        async def serve(task_status: trio.TaskStatus[None]) -> None:
            async with engine_named(engine).accept(far, admit=everybody, settings=settings) as wire:
                wires.append(wire)
                task_status.started()
                await done.wait()

        nursery.start_soon(near.send_all, REQUEST)
        await nursery.start(serve)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await near.receive_some()
        yield wires[0], near
        done.set()
