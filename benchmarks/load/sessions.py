"""Many sessions on one epoll: opened together, closed together, whatever happens between."""

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, final

from .jobs import Target
from .websocket import BrokenServer, Connection, close_frame

READABLE: Final = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR


@final
class Sessions:
    """The open connections and the epoll they are registered with."""

    def __init__(self) -> None:
        self.poll = select.epoll()
        self.connections: list[Connection] = []
        self.by_fd: dict[int, Connection] = {}

    def open(self, target: Target, count: int) -> None:
        """Open ``count`` more sessions, one after another."""
        for _ in range(count):
            index = len(self.connections)
            connection = Connection.open(target.port(index), index, path=target.path)
            self.connections.append(connection)
            self.by_fd[connection.fd] = connection
            self.poll.register(connection.fd, READABLE)

    def send(self, connection: Connection, frame: bytes) -> bool:
        """Send a frame, or the rest of it when the socket takes more; False when the server reads too slowly."""
        if connection.send(frame):
            return True
        self.poll.modify(connection.fd, READABLE | select.EPOLLOUT)
        return False

    def flush(self, connection: Connection) -> None:
        if connection.flush():
            self.poll.modify(connection.fd, READABLE)

    def say_goodbye(self, within_s: float = 2.0) -> None:
        """Close every session as a good client does, and wait a while for the answers."""
        waiting = set()
        for connection in self.connections:
            with suppress(BrokenServer):
                connection.send(close_frame())
                waiting.add(connection.fd)
        deadline = time.monotonic() + within_s
        while waiting and time.monotonic() < deadline:
            for fd, _ in self.poll.poll(0.1):
                connection = self.by_fd[fd]
                try:
                    connection.receive()
                except BrokenServer:
                    waiting.discard(fd)
                    self.poll.unregister(fd)
                    continue
                if connection.close_code is not None:
                    waiting.discard(fd)
                    self.poll.unregister(fd)

    def close(self) -> None:
        for connection in self.connections:
            connection.sock.close()
        self.poll.close()


@contextmanager
def sessions(target: Target, count: int) -> Iterator[Sessions]:
    held = Sessions()
    try:
        held.open(target, count)
        yield held
        held.say_goodbye()
    finally:
        held.close()
