"""Listening sockets: every address a name stands for, all on the same port; and a loop that outlives every shortage.

Rules
1. A host that is None means every interface, and the log says so: whoever can reach this machine can call.
2. What keeps a server from listening is an OSError that names the address and says what to do.
3. A shortage of descriptors or memory ends nothing. It is logged once, and accepting goes on as soon as it can:
   callers wait in the kernel's queue until then.
4. No more than ``ACCEPTS_PER_S`` are accepted of one socket, a few of them at once. A crowd that comes in, and the same
   crowd that runs out of time together, leave the calls under way their turns, and the process its rests.
"""

import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable
from math import inf
from typing import Final, TypeVar

import trio

from ..stream import TCPStream
from .descriptors import make_room

logger = logging.getLogger("trio_transports.server")

_TRIES: Final = 8
_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
SHORTAGE_WAIT_S: Final = 0.1
ACCEPTS_PER_S: Final = 2000
"""More handshakes than one process is through with in that time."""
ACCEPTS_AT_ONCE: Final = 8
_AT_ONCE_S: Final = (ACCEPTS_AT_ONCE - 0.5) / ACCEPTS_PER_S
_WAYS_OUT: Final = {
    errno.EADDRINUSE: "is taken: stop what listens there, or choose another port (0: a free one)",
    errno.EACCES: "is not allowed: choose a port above 1023",
    errno.EADDRNOTAVAIL: "is not an address of this machine: choose another host ({everywhere}: every interface)",
}

StreamT = TypeVar("StreamT", bound=trio.abc.Stream)


async def open_listeners(host: str | None, port: int) -> list[trio.SocketListener]:
    """Listen on ``host`` (None: on every interface), IPv4 and IPv6; port 0 is one free port, the same on all."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"port must be a whole number from 0 (a free one) to 65535, not {port!r}")
    for attempt in range(1, _TRIES + 1):
        listeners: list[trio.SocketListener] = []
        address, wanted = host or "", port
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
            raise cannot_listen(exc, address, wanted) from exc
        make_room(listeners[0].socket.fileno())
        if host is None:
            tell_every_interface(listener_address(listeners[0])[1], alone='host="127.0.0.1"')
        return listeners
    raise OSError(errno.EADDRINUSE, f"found no port that is free on every address of {host!r}")


def tell_every_interface(port: int, *, alone: str) -> None:
    """Rule 1; ``alone`` is what to say for this machine alone."""
    logger.warning(
        "listening on every interface, port %d: whoever can reach this machine can call; %s is for this machine alone",
        port,
        alone,
    )


def cannot_listen(error: OSError, host: str, port: int, *, everywhere: str = "None") -> OSError:
    """Say the same error with its address, and what to do about it; ``everywhere`` is the host for every interface."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(error, socket.gaierror):
        return socket.gaierror(error.errno, f"the host {host!r} is not known: {error.strerror}")
    number = error.errno or 0
    why = _WAYS_OUT.get(number, "cannot be listened on: " + os.strerror(number))
    return OSError(number, f"{where} {why.format(everywhere=everywhere)}")


def with_tls(
    listeners: list[trio.SocketListener], context: ssl.SSLContext | None
) -> list[trio.abc.Listener[TCPStream]]:
    """Speak TLS to whoever comes, where there is a context for it."""
    return [
        listener if context is None else trio.SSLListener(listener, context, https_compatible=True)
        for listener in listeners
    ]


async def accept_from(listener: trio.abc.Listener[StreamT], take: Callable[[StreamT], object]) -> None:
    """Hand every stream to ``take`` until cancelled; rules 3 and 4."""
    is_short, next_s = False, -inf
    async with listener:
        while True:
            try:
                stream = await listener.accept()
            except OSError as exc:
                if exc.errno not in _SHORTAGES:
                    raise
                if not is_short:
                    logger.warning("no new caller can be let in for now (%s); callers under way are not touched", exc)
                is_short = True
                await trio.sleep(SHORTAGE_WAIT_S)
            else:
                is_short = False
                take(stream)
                now_s = trio.current_time()
                next_s = max(next_s, now_s - _AT_ONCE_S) + 1 / ACCEPTS_PER_S
                if next_s > now_s:
                    await trio.sleep_until(next_s)


def listener_address(listener: trio.SocketListener) -> tuple[str, int]:
    host, port, *_ = listener.socket.getsockname()
    return str(host), int(port)


async def _addresses(host: str | None, port: int) -> list[str]:
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)
    return [address for address in addresses if ":" not in address or socket.has_ipv6]
