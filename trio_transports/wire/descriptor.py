"""A connection's socket for as long as it is this connection's: closed here, and its end told from here.

Rules
1. ``close`` and ``abort`` are synchronous: the descriptor is gone when they return, and whoever waits on it wakes.
2. A connection aborted while a write is stuck is reset: the kernel would otherwise hold the unsent bytes for minutes.
   What the kernel has taken of whole writes is still sent.
3. Whatever ends the connection (end of file, an error, closing it here) calls ``on_end``, once.
4. A descriptor that was closed here is never used again, also not by a reader that woke before: it may be somebody
   else's by then.
"""

import socket as stdlib_socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

import trio
from attrs import define, field

from .wakes import Seat, SharedWakes

_RESET: Final = struct.pack("ii", 1, 0)


@final
@define(eq=False)
class Descriptor:
    """One connection's; its reads and writes go by ``number``."""

    socket: trio.socket.SocketType
    number: int | None
    """Of a plain TCP stream, and negative after ``close``. None over TLS, whose bytes are not the socket's own."""
    on_end: Callable[[], None] | None = field(default=None, init=False)
    seat: Seat | None = field(default=None, init=False)
    """Where it shares its wakes with others."""
    is_writing: bool = field(default=False, init=False)
    """A write is under way, or was cut off midway."""
    is_closed: bool = field(default=False, init=False)
    _has_ended: bool = field(default=False, init=False)

    def take_seat(self, wakes: SharedWakes) -> None:
        """Share wakes from now on, where that is possible."""
        if self.number is not None and not self.is_closed:
            self.seat = wakes.seat(self.number)

    def alarm_s(self, due_s: float) -> float:
        """When to wake for what is due then, and may leave a little earlier; see ``wire.wakes``."""
        return due_s if self.seat is None else self.seat.alarm_s(due_s)

    def shut(self, how: int) -> None:
        """End one of its directions; nothing where both have ended."""
        with suppress(OSError, trio.ClosedResourceError):
            self.socket.shutdown(how)

    def end(self) -> None:
        """Rule 3."""
        if not self._has_ended:
            self._has_ended = True
            if self.on_end is not None:
                self.on_end()

    def close(self) -> None:
        """Close without ceremony; bytes already written still reach the peer."""
        self.is_closed = True
        if self.number is not None:
            self.number = -1
        if self.seat is not None:
            self.seat.leave()
        self.socket.close()
        self.end()

    def abort(self) -> None:
        """Rule 2."""
        if self.is_writing:
            with suppress(OSError):
                self.socket.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, _RESET)
        self.close()
