"""What trio's socket streams leave out."""

import socket
import struct
from contextlib import suppress
from typing import Final

import trio

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def reset_socket(stream: "trio.SocketStream | trio.socket.SocketType") -> None:
    """Close without waiting, and with a reset: the kernel keeps nothing for a peer that does not read.

    Tasks inside a read or a write wake with ``trio.ClosedResourceError``. A second call does nothing.
    """
    raw = stream.socket if isinstance(stream, trio.SocketStream) else stream
    with suppress(OSError):  # already closed
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    raw.close()
