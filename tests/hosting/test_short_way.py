"""The short way from a session to its socket, without a server."""

import socket

import trio

from trio_transports.hosting.app_queue import AppQueue
from trio_transports.hosting.short_way import ShortWay
from trio_transports.hosting.writing import Writing
from trio_transports.wire.stream import OwnedStream


class Frames:
    """A WebSocket that this side, or the other, has begun to close."""

    may_send = False
    has_rest = False

    def take_messages(self, data: bytes) -> list[str | bytes]:
        return []


async def nothing() -> None: ...


async def test_nothing_is_sent_behind_a_close() -> None:
    """``send_now`` says that nothing of the message was taken, twice, and the peer sees no byte of it."""
    near, far = (trio.socket.from_stdlib_socket(each) for each in socket.socketpair())
    with far:
        async with OwnedStream(trio.SocketStream(near)) as stream:
            writing = Writing(stream, stream, lambda task: None)
            way = ShortWay(stream, writing, AppQueue(1), Frames(), nothing)
            for message in ("text", b"bytes"):
                assert way.send_now(message) is False
        assert await far.recv(100) == b""
