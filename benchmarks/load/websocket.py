"""Just enough of a WebSocket client: a handshake, masked frames out, whole messages in, on a non-blocking socket.

Rules
1. Frames to the server are masked with a real, random key, as a browser's would be; audio is masked once, beforehand.
2. No extension is offered, so no peer compresses.
3. Fragmented messages are put together; a ping is answered; anything else unexpected is a ``BrokenServer``.
4. Every read comes with the time at which the kernel took the data in.
"""

import os
import socket
import struct
import time
from typing import Final, final

SO_TIMESTAMPNS: Final = getattr(socket, "SO_TIMESTAMPNS", 35)
READ_BYTES: Final = 1 << 18
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_KEY: Final = "AAECAwQFBgcICQoLDA0ODw=="
_ACCEPT: Final = b"Bz3qJYTGdOe8gUSpLosEdiLKDrk="
"""What RFC 6455 makes of that key."""


class BrokenServer(Exception):
    """The server did something that its protocol does not allow, or went away."""


class SlowServer(BrokenServer):
    """The server did not answer in time."""


def masked_frame(payload: bytes, opcode: int = BINARY) -> bytes:
    size = len(payload)
    first = 0x80 | opcode
    if size < 126:
        header = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        header = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", first, 0x80 | 127, size)
    key = os.urandom(4)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return header + key + (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")


def close_frame(code: int = 1000) -> bytes:
    return masked_frame(code.to_bytes(2, "big"), CLOSE)


@final
class FrameReader:
    """Bytes in, messages out. ``close_code`` is set once the server's Close has come."""

    __slots__ = ("_buffer", "_parts", "close_code", "pings")

    def __init__(self) -> None:
        self._buffer = b""
        self._parts: list[bytes] = []
        self.close_code: int | None = None
        self.pings: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        # The usual case, one whole binary message of 126 to 65535 bytes in one read, takes no other step.
        if not self._buffer and data[:2] == b"\x82\x7e" and len(data) == 4 + (data[2] << 8 | data[3]):
            return [data[4:]]
        self._buffer += data
        messages: list[bytes] = []
        at = 0
        while (frame := self._frame(at)) is not None:
            first, start, at = frame
            self._take(first, self._buffer[start:at], messages)
        self._buffer = self._buffer[at:]
        return messages

    def _frame(self, at: int) -> tuple[int, int, int] | None:
        """The first byte of the frame at ``at``, and where its payload starts and ends; None while it is not whole."""
        data = self._buffer
        if len(data) < at + 2:
            return None
        size, start = data[at + 1], at + 2
        if size & 0x80:
            raise BrokenServer("the server masked a frame")
        if size == 126:
            start += 2
            if len(data) < start:
                return None
            size = data[at + 2] << 8 | data[at + 3]
        elif size == 127:
            start += 8
            if len(data) < start:
                return None
            size = int.from_bytes(data[at + 2 : start], "big")
        end = start + size
        return (data[at], start, end) if len(data) >= end else None

    def _take(self, first: int, payload: bytes, messages: list[bytes]) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise BrokenServer(f"a frame starts with the reserved bits {first & 0x70:#x}")
        if opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        elif opcode == PING:
            self.pings.append(payload)
        elif opcode == PONG:
            pass
        elif first & 0x80 and not self._parts:
            messages.append(payload)
        else:
            self._parts.append(payload)
            if first & 0x80:
                messages.append(b"".join(self._parts))
                self._parts.clear()


@final
class Connection:
    """One WebSocket client. Nothing here waits, except the handshake of ``open``."""

    __slots__ = ("_backlog", "_early", "_reader", "fd", "index", "sock")

    def __init__(self, sock: socket.socket, index: int) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.index = index
        self._reader = FrameReader()
        self._backlog = b""
        self._early = b""

    @classmethod
    def open(cls, port: int, index: int, *, path: str = "/", timeout_s: float = 10.0) -> "Connection":
        """Connect and shake hands; a server that refuses or does not answer is a ``BrokenServer``."""
        sock = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            sock.sendall(handshake_request(port, path))
            connection = cls(sock, index)
            connection.take_handshake(_handshake_answer(sock))
        except TimeoutError:
            sock.close()
            raise SlowServer(f"no handshake within {timeout_s:g} s") from None
        except BaseException:
            sock.close()
            raise
        sock.setblocking(False)
        return connection

    def take_handshake(self, answer: bytes) -> None:
        head, _, rest = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101") or _ACCEPT not in head:
            raise BrokenServer(f"the handshake was refused: {head[:200]!r}")
        self._early = rest  # a transport may play silence from the first moment on

    def send(self, frame: bytes) -> bool:
        """Send what the socket takes now; False when some was kept for ``flush`` (the server reads too slowly)."""
        if self._backlog:
            self._backlog += frame
            return False
        try:
            sent = self.sock.send(frame)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            raise BrokenServer(f"the connection broke while sending: {exc}") from exc
        if sent == len(frame):
            return True
        self._backlog = frame[sent:]
        return False

    def flush(self) -> bool:
        """Send what was kept; True when nothing is left."""
        frame, self._backlog = self._backlog, b""
        return not frame or self.send(frame)

    def receive(self) -> tuple[int, list[bytes]]:
        """When the newest data arrived (nanoseconds, ``CLOCK_REALTIME``), and the messages it completed."""
        try:
            data, ancillary, _, _ = self.sock.recvmsg(READ_BYTES, 64)
            data, self._early = self._early + data if data else data, b""
        except BlockingIOError:
            return 0, []
        except OSError as exc:
            raise BrokenServer(f"the connection broke while receiving: {exc}") from exc
        if not data:
            if self._reader.close_code is None:
                raise BrokenServer("the server dropped the connection without a Close frame")
            return 0, []
        arrived_ns = 0
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", content[:16])
                arrived_ns = seconds * 1_000_000_000 + nanoseconds
        messages = self._reader.feed(data)
        if self._reader.pings:
            for payload in self._reader.pings:
                self.send(masked_frame(payload, PONG))
            self._reader.pings.clear()
        return arrived_ns or time.time_ns(), messages

    @property
    def close_code(self) -> int | None:
        return self._reader.close_code


def _handshake_answer(sock: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = sock.recv(4096)
        if not data:
            raise BrokenServer(f"the server closed the connection in the handshake, after {answer[:200]!r}")
        answer += data
    return answer


def handshake_request(port: int, path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
