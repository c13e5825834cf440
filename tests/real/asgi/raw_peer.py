"""A WebSocket client in raw bytes, free to break every rule."""

import os
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, final

import trio
from attrs import define, field, frozen

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="


def upgrade_request(path: str = "/ws", **headers: str) -> bytes:
    lines = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return f"GET {path} HTTP/1.1\r\n".encode() + b"".join(f"{k}: {v}\r\n".encode() for k, v in lines.items()) + b"\r\n"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, first_byte: int | None = None) -> bytes:
    """A masked frame."""
    head = bytes([first_byte if first_byte is not None else opcode | (0x80 if fin else 0)])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", size)
    mask = os.urandom(4)
    repeated = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
    return head + mask + masked


def close_frame(code: int = 1000, reason: str = "") -> bytes:
    return frame(CLOSE, struct.pack(">H", code) + reason.encode())


@final
@frozen
class Frame:
    opcode: int
    payload: bytes
    first_byte: int

    @property
    def close_code(self) -> int:
        return int.from_bytes(self.payload[:2], "big")

    @property
    def close_reason(self) -> str:
        return self.payload[2:].decode()


@final
@define(eq=False)
class RawPeer:
    stream: "trio.SocketStream | trio.SSLStream[trio.SocketStream]"
    head: bytes = b""
    """The answer to the upgrade request."""
    _buffer: bytearray = field(factory=bytearray, init=False)

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def upgrade(self, path: str = "/ws", **headers: str) -> None:
        await self.send(upgrade_request(path, **headers))
        await self.read_head()

    async def read_head(self) -> None:
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                raise EOFError(f"the server closed after {bytes(self._buffer)!r}")
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self.head, self._buffer = head, bytearray(rest)

    async def read_frame(self) -> Frame | None:
        """The next frame from the server; None at the end of the connection."""
        while True:
            parsed = self._parse()
            if parsed is not None:
                return parsed
            if not await self._more():
                return None

    async def read_to_close(self) -> Frame:
        """Skip what comes until the close frame."""
        while True:
            got = await self.read_frame()
            if got is None:
                raise EOFError("the connection ended without a close frame")
            if got.opcode == CLOSE:
                return got

    async def wait_eof(self) -> None:
        """Read and throw away until the connection is over, however that is."""
        while await self._more():
            self._buffer.clear()

    async def read_rest(self) -> bytes:
        """All that comes until the end of the connection."""
        while await self._more():
            pass
        return bytes(self._buffer)

    async def _more(self) -> bool:
        try:
            data = await self.stream.receive_some()
        except trio.BrokenResourceError:
            return False
        self._buffer += data
        return bool(data)

    def _parse(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + size:
            return None
        parsed = Frame(buffer[0] & 0x0F, bytes(buffer[start : start + size]), buffer[0])
        del buffer[: start + size]
        return parsed


@asynccontextmanager
async def raw_peer(
    port: int, *, small_buffers: bool = False, client_ssl: ssl.SSLContext | None = None
) -> AsyncIterator[RawPeer]:
    """Connect; ``small_buffers`` makes a peer that does not read soon felt."""
    socket = trio.socket.socket()
    try:
        if small_buffers:
            socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await socket.connect(("127.0.0.1", port))
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] = trio.SocketStream(socket)
        if client_ssl is not None:
            stream = trio.SSLStream(
                trio.SocketStream(socket), client_ssl, server_hostname="localhost", https_compatible=True
            )
        yield RawPeer(stream)
    finally:
        socket.close()
