"""Listening sockets: every address a name stands for, all on the same port."""

import errno
import socket
from typing import Final

import trio

_TRIES: Final = 8


async def open_listeners(host: str | None, port: int) -> list[trio.SocketListener]:
    """Listen on ``host`` (None: on every interface), IPv4 and IPv6; port 0 is one free port, the same on all."""
    for attempt in range(1, _TRIES + 1):
        listeners: list[trio.SocketListener] = []
        try:
            for address in await _addresses(host, port):
                wanted = port or (listener_address(listeners[0])[1] if listeners else 0)
                listeners += await trio.open_tcp_listeners(wanted, host=address)
        except OSError as exc:
            for listener in listeners:
                await listener.aclose()
            taken_meanwhile = port == 0 and listeners and exc.errno == errno.EADDRINUSE
            if taken_meanwhile and attempt < _TRIES:
                continue
            raise
        return listeners
    raise OSError(errno.EADDRINUSE, f"found no port that is free on every address of {host!r}")


def listener_address(listener: trio.SocketListener) -> tuple[str, int]:
    host, port, *_ = listener.socket.getsockname()
    return str(host), int(port)


async def _addresses(host: str | None, port: int) -> list[str]:
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)
    return [address for address in addresses if ":" not in address or socket.has_ipv6]
