"""Requests that must not be answered with 101, frames that must be answered with a Close, and what each host says.

One row is one attack: the bytes, and every answer that is right. An answer is the HTTP status, ``"closed"`` where the
connection ends without one, or ``"close 1002"`` for a Close frame with that code.
"""

import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias, final

import trio
from attrs import frozen

KEY: Final = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION: Final = b"Sec-WebSocket-Version: 13\r\n"
UPGRADE: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
WAIT_S: Final = 15.0

Stream: TypeAlias = "trio.SocketStream | trio.SSLStream[trio.SocketStream]"
Request = Callable[[bytes], bytes]
"""The bytes, for a path of the host."""


def request(
    *headers: bytes, line: bytes = b"GET %s HTTP/1.1", host: bytes = b"Host: localhost\r\n", after: bytes = b""
) -> Request:
    def made(path: bytes) -> bytes:
        first = line % path if b"%s" in line else line
        return first + b"\r\n" + host + b"".join(headers) + b"\r\n" + after

    return made


@final
@frozen
class Attack:
    name: str
    sends: Request
    right: tuple[str, ...]
    after_upgrade: bytes | None = None
    """Sent once the caller is let in; ``right`` is then what comes back."""


def refused(name: str, sends: Request, *statuses: int) -> Attack:
    return Attack(name, sends, tuple(map(str, statuses)))


def asking(*headers: bytes, after: bytes = b"") -> Request:
    """A good request for a WebSocket, and more."""
    return request(UPGRADE, VERSION, KEY, *headers, after=after)


GOOD: Final = asking()
KEPT: Final = b"Connection: keep-alive\r\nUpgrade: websocket\r\n"
H2C: Final = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
CLIENT_HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n"

HANDSHAKES: Final = (
    refused("a plain GET", request(), 426, 404),
    refused("HTTP/1.0", request(UPGRADE, VERSION, KEY, line=b"GET %s HTTP/1.0"), 400, 426, 505),
    refused("no host", request(UPGRADE, VERSION, KEY, host=b""), 400),
    refused("two hosts", request(UPGRADE, VERSION, KEY, b"Host: other\r\n"), 400),
    refused("POST", request(UPGRADE, VERSION, KEY, line=b"POST %s HTTP/1.1"), 400, 405, 404),
    refused("no key", request(UPGRADE, VERSION), 400),
    refused("a short key", request(UPGRADE, VERSION, b"Sec-WebSocket-Key: AAAA\r\n"), 400),
    refused("a key that is not base64", request(UPGRADE, VERSION, b"Sec-WebSocket-Key: " + b"!" * 24 + b"\r\n"), 400),
    refused("two keys", request(UPGRADE, VERSION, KEY, KEY), 400),
    refused("no version", request(UPGRADE, KEY), 400, 426),
    refused("version 8", request(UPGRADE, KEY, b"Sec-WebSocket-Version: 8\r\n"), 400, 426),
    refused("two versions", request(UPGRADE, VERSION, VERSION, KEY), 400, 426),
    refused("Connection without Upgrade", request(KEPT, VERSION, KEY), 400, 404, 426),
    refused("Upgrade to something else", request(H2C, VERSION, KEY), 400, 404, 426),
    refused("Content-Length with a body", asking(b"Content-Length: 5\r\n", after=b"hello"), 400),
    refused(
        "Content-Length with Transfer-Encoding",
        asking(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", after=b"0\r\n\r\n"),
        400,
    ),
    refused("Transfer-Encoding", asking(b"Transfer-Encoding: chunked\r\n", after=b"0\r\n\r\n"), 400),
    refused("two lengths", request(UPGRADE, VERSION, KEY, b"Content-Length: 0\r\nContent-Length: 5\r\n"), 400),
    refused("a header without a colon", request(UPGRADE, VERSION, KEY, b"nonsense\r\n"), 400),
    refused("a folded header", request(UPGRADE, VERSION, KEY, b"X-A: b\r\n c\r\n", b" d: e\r\n"), 400, 101),
    refused("a line end in the target", request(UPGRADE, VERSION, KEY, line=b"GET %s\rX HTTP/1.1"), 400),
    refused("another site's page", request(UPGRADE, VERSION, KEY, b"Origin: https://evil.example\r\n"), 403),
    refused("two origins", asking(b"Origin: http://localhost\r\nOrigin: https://evil.example\r\n"), 400, 403),
    Attack("TLS to a plain port", lambda _path: CLIENT_HELLO, ("400", "closed")),
    refused("CONNECT", request(line=b"CONNECT other:443 HTTP/1.1"), 400, 404, 405, 426),
    refused("80 kB of headers", request(UPGRADE, VERSION, KEY, b"X-A: " + b"a" * 80_000 + b"\r\n"), 400, 431),
)  # fmt: skip


def violation(name: str, frames: bytes, *codes: int) -> Attack:
    return Attack(name, GOOD, tuple(f"close {code}" for code in codes), frames)


MASK: Final = bytes(4)


def frame(first: int, payload: bytes = b"", *, masked: bool = True) -> bytes:
    size = len(payload)
    bit = 0x80 if masked else 0
    length = bytes([bit | size]) if size < 126 else bytes([bit | 126]) + size.to_bytes(2, "big")
    return bytes([first]) + length + (MASK if masked else b"") + payload


VIOLATIONS: Final = (
    violation("a frame without a mask", frame(0x81, b"hello", masked=False), 1002),
    violation("a reserved bit", frame(0xC1, b"hello"), 1002),
    violation("an unknown opcode", frame(0x83, b"hello"), 1002),
    violation("an unknown control opcode", frame(0x8B), 1002),
    violation("a fragmented ping", frame(0x09, b"hello"), 1002),
    violation("a ping of 126 bytes", frame(0x89, b"x" * 126), 1002),
    violation("a continuation of nothing", frame(0x80, b"hello"), 1002),
    violation("a message inside another", frame(0x01, b"a") + frame(0x81, b"b"), 1002),
    violation("text that is not UTF-8", frame(0x81, b"\xff\xfe"), 1007),
    violation("a close of one byte", frame(0x88, b"\x03"), 1002),
    violation("close code 1005", frame(0x88, (1005).to_bytes(2, "big")), 1002),
    violation("a close reason that is not UTF-8", frame(0x88, (1000).to_bytes(2, "big") + b"\xff"), 1007),
    violation("a message over the limit", b"\x82\xff" + (1 << 40).to_bytes(8, "big") + MASK + bytes(1_100_000), 1009),
    violation("a message after the goodbye", frame(0x88, (1000).to_bytes(2, "big")) + frame(0x81, b"late"), 1000),
    violation("an HTTP request after the upgrade", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 1002),
)  # fmt: skip

ATTACKS: Final[Sequence[Attack]] = (*HANDSHAKES, *VIOLATIONS)


async def play(port: int, attack: Attack, path: bytes = b"/call", tls: ssl.SSLContext | None = None) -> str:
    """Attack whoever listens there, and say what came back."""
    with trio.fail_after(WAIT_S):
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        stream: Stream = tcp
        if tls is not None:
            stream = trio.SSLStream(tcp, tls, server_hostname="localhost", https_compatible=True)
        async with stream:
            with suppress(trio.BrokenResourceError):  # an answer may have come all the same
                await stream.send_all(attack.sends(path))
            got = await _read_until(stream, lambda got: b"\r\n\r\n" in got)
            status = got[9:12].decode() if got.startswith(b"HTTP/1.") else "closed"
            if attack.after_upgrade is None or status != "101":
                return status
            rest = got.partition(b"\r\n\r\n")[2]
            async with trio.open_nursery() as nursery:
                # Beside reading: what cannot be sent to its end any more would take the answer with it, over TLS.
                nursery.start_soon(_send, stream, attack.after_upgrade)
                rest += await _read_until(stream, lambda _got: False)
                nursery.cancel_scope.cancel()
            return close_in(rest)


async def _send(stream: Stream, data: bytes) -> None:
    with suppress(trio.BrokenResourceError):
        await stream.send_all(data)


async def _read_until(stream: Stream, is_enough: Callable[[bytes], bool]) -> bytes:
    got = b""
    try:
        while not is_enough(got) and (data := await stream.receive_some()):
            got += data
    except trio.BrokenResourceError:
        pass
    return got


def close_in(frames: bytes) -> str:
    """The Close among what a server sent: its frames are not masked."""
    at = 0
    while at + 2 <= len(frames):
        opcode, size = frames[at] & 0x0F, frames[at + 1] & 0x7F
        at += 2
        if size == 126:
            size, at = int.from_bytes(frames[at : at + 2], "big"), at + 2
        elif size == 127:
            size, at = int.from_bytes(frames[at : at + 8], "big"), at + 8
        if opcode == 8:
            return f"close {int.from_bytes(frames[at : at + 2], 'big') if size >= 2 else 1005}"
        at += size
    return "closed"
