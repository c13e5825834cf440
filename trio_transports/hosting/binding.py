"""Where a server listens: the sockets that hypercorn's configuration names, bound, and what is told of them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb
from typing import Final

import trio
from hypercorn.config import Config, Sockets
from hypercorn.utils import repr_socket_addr

from ..wire.accepting.descriptors import make_room
from ..wire.accepting.listening import cannot_listen, tell_every_interface

_EVERYWHERE: Final = ("0.0.0.0", "::")
_USUAL_PORT: Final = 8000
"""Where an address of ``config.bind`` names none."""


@contextmanager
def bound_sockets(config: Config) -> Iterator[Sockets]:
    """Have them while the block runs. OSError or ValueError for an address that cannot be bound, with its name."""
    try:
        sockets = config.create_sockets()
    except Exception as exc:
        where = _close_left_open(exc) or ", ".join(config.bind)
        if isinstance(exc, OSError):
            raise _cannot_listen(exc, where) from exc
        if isinstance(exc, OverflowError):
            why = "its port must be a whole number from 0 (a free one) to 65535"
            raise ValueError(f"cannot listen on {where}: {why}") from None  # noqa: TRY004 - a value is wrong
        raise
    try:
        yield sockets
    finally:
        for sock in (*sockets.secure_sockets, *sockets.insecure_sockets):
            sock.close()


def _cannot_listen(error: OSError, where: str) -> OSError:
    """As the other servers say it. ``where`` is an address as hypercorn reads it, without brackets."""
    if where.startswith(("unix:", "fd://")):
        why = error.strerror or str(error)
        return OSError(error.errno, f"cannot listen on {where}: {why}; free that address or bind another")
    host, _, port = where.rpartition(":")
    if not port.isdecimal():
        host, port = where, str(_USUAL_PORT)
    return cannot_listen(error, host or "0.0.0.0", int(port), everywhere="0.0.0.0")


def tell_if_everywhere(config: Config, sockets: Sockets) -> None:
    """Warn of what listens on every interface; who hands over a socket that listens already knows where."""
    binds = (*config.bind, *config.insecure_bind)
    for bind, sock in zip(binds, (*sockets.secure_sockets, *sockets.insecure_sockets), strict=False):
        address = sock.getsockname()
        if not bind.startswith("fd://") and isinstance(address, tuple) and address[0] in _EVERYWHERE:
            tell_every_interface(address[1], alone=f'bind = "127.0.0.1:{address[1]}"')


def _close_left_open(error: Exception) -> str | None:
    """Close what hypercorn has made before an address was refused, and forgotten; returns that address.

    Only the frames of hypercorn's that failed still know either.
    """
    where = None
    for frame, _ in walk_tb(error.__traceback__):
        where = frame.f_locals.get("bind", where)
        for value in frame.f_locals.values():
            for made in value if isinstance(value, list) else [value]:
                if isinstance(made, socket.socket):
                    made.close()
    return where if isinstance(where, str) else None


def listeners_of(sockets: Sockets, backlog: int) -> tuple[list[tuple[trio.SocketListener, bool]], list[str]]:
    """Begin to listen; each listener with whether it is for TLS, and the addresses as they are told."""
    listeners, addresses = [], []
    for group, is_secure in ((sockets.secure_sockets, True), (sockets.insecure_sockets, False)):
        for sock in group:
            sock.listen(backlog)
            make_room(sock.fileno())
            listeners.append((trio.SocketListener(trio.socket.from_stdlib_socket(sock)), is_secure))
            address = repr_socket_addr(sock.family, sock.getsockname())
            addresses.append(f"{'https' if is_secure else 'http'}://{address}")
    return listeners, addresses
