"""WebSocket frames as bytes, without I/O (RFC 6455, section 5).

Rules
1. ``Parser.feed`` takes bytes cut anywhere and gives what they complete: whole messages and control frames, in order.
   A Close is the last of them; what follows it is ignored.
2. Anything the RFC forbids raises ``Violation`` with the close code that says so: 1002, 1007 for text that is not
   UTF-8, 1009 for a message over the limit, which is told from the header, before its bytes are kept. What the same
   bytes completed before is in its ``received``.
3. Extensions are not offered, so no reserved bit may be set.
4. What is kept of an unfinished message is bounded by the limit, in one buffer, and costs the same for each byte
   however it was cut. Fragments without content are free, but more than ``MAX_EMPTY_FRAGMENTS`` of them in one message
   are 1008.
"""

import os
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Final, TypeAlias, final

import numpy as np
from attrs import define, field, frozen

try:
    from websockets.speedups import apply_mask as _quick_mask
except ImportError:  # the extra ``fast`` is not installed, or has no compiled part here
    _quick_mask = None  # type: ignore[assignment]


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


@final
@frozen
class Ping:
    payload: bytes


@final
@frozen
class Pong:
    payload: bytes


@final
@frozen
class Close:
    """``code`` is 1005 when the frame had none."""

    code: int
    reason: str


Received: TypeAlias = str | bytes | Ping | Pong | Close


class Violation(Exception):
    """What the peer did that the RFC forbids; it never leaves the engine."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        self.received: list[Received] = []
        super().__init__(code, reason)


_FIN: Final = 0x80
_RESERVED: Final = 0x70
_MASKED: Final = 0x80
_MAX_CONTROL_BYTES: Final = 125
_WHOLE_BINARY: Final = _FIN | Opcode.BINARY.value
MAX_EMPTY_FRAGMENTS: Final = 1024
_ARRAY_BYTES: Final = 1024
_U16: Final = struct.Struct("!H")
_U64: Final = struct.Struct("!Q")
_HEADER_16: Final = struct.Struct("!BBH")
_HEADER_64: Final = struct.Struct("!BBQ")


def encode_frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    """One whole frame. A client masks what it sends, a server does not."""
    size, first = len(payload), _FIN | opcode
    mask_bit = _MASKED if masked else 0
    if size < 126:
        header = bytes((first, mask_bit | size))
    elif size < 65536:
        header = _HEADER_16.pack(first, mask_bit | 126, size)
    else:
        header = _HEADER_64.pack(first, mask_bit | 127, size)
    if not masked:
        return header + payload
    mask = os.urandom(4)
    return header + mask + apply_mask(payload, mask)


def encode_close(code: int, reason: str, *, masked: bool) -> bytes:
    return encode_frame(Opcode.CLOSE, _U16.pack(code) + reason.encode(), masked=masked)


def plain_mask(payload: bytes, mask: bytes) -> bytes:
    """XOR with the repeated mask, as one operation on two large integers, or on arrays where these are quicker."""
    size = len(payload)
    if size >= _ARRAY_BYTES:
        whole = size & ~3
        words = np.frombuffer(payload, np.uint32, whole // 4) ^ np.frombuffer(mask, np.uint32)
        return words.tobytes() + plain_mask(payload[whole:], mask)
    keys = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(keys, "little")).to_bytes(size, "little")


apply_mask: Final[Callable[[bytes, bytes], bytes]] = plain_mask if _quick_mask is None else _quick_mask
"""As ``plain_mask``: 0.1 microseconds instead of 3 for 20 ms of audio, where the package websockets is there."""


@final
@define(eq=False)
class Parser:
    """Reads one direction of one connection. After a ``Violation`` it must not be fed again."""

    from_client: bool
    max_message_bytes: int
    _buffer: bytearray = field(factory=bytearray, init=False)
    """A frame's beginning."""
    _wanted: int = field(default=0, init=False)
    """How long the buffer must be for another look at it to be worth the copy."""
    _gathered: bytearray = field(factory=bytearray, init=False)
    """The message whose fragments are arriving."""
    _opcode: int = field(default=0, init=False)
    """Of that message; 0: there is none."""
    _empty_fragments: int = field(default=0, init=False)
    _is_closed: bool = field(default=False, init=False)

    def feed(self, data: bytes) -> list[Received]:
        """Give what these bytes complete; a ``Violation`` carries what was complete before it."""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._wanted:
                return []
            data = bytes(self._buffer)
            self._buffer = bytearray()
        received: list[Received] = []
        try:
            start = self._parse(data, received)
        except Violation as violation:
            violation.received = received
            raise
        if start < len(data):
            self._buffer += memoryview(data)[start:]
        return received

    def _parse(self, buffer: bytes, received: list[Received]) -> int:
        """Append what the buffer holds in whole; return how much of it that was."""
        start, end = 0, len(buffer)
        if self._is_closed:
            return end
        while end - start >= 2:
            first, second = buffer[start], buffer[start + 1]
            size, body = second & 0x7F, start + 2
            if size == 126:
                if end < body + 2:
                    return self._wait_for(4, start, first, second)
                size = _U16.unpack_from(buffer, body)[0]
                body += 2
                _check_length(size, 126)
            elif size == 127:
                if end < body + 8:
                    return self._wait_for(10, start, first, second)
                size = _U64.unpack_from(buffer, body)[0]
                body += 8
                _check_length(size, 65536)
            self._check_header(first, second, size)
            mask_at = body
            if self.from_client:
                body += 4
            if end < body + size:
                self._wanted = body + size - start
                return start
            payload = buffer[body : body + size]
            if self.from_client:
                payload = apply_mask(payload, buffer[mask_at:body])
            start = body + size
            if first == _WHOLE_BINARY:
                received.append(payload)
                continue
            event = self._take(first, payload)
            if event is not None:
                received.append(event)
                if type(event) is Close:
                    self._is_closed = True
                    return end
        self._wanted = 2
        return start

    def _wait_for(self, header_bytes: int, start: int, first: int, second: int) -> int:
        self._check_header(first, second, 0)
        self._wanted = header_bytes
        return start

    def _check_header(self, first: int, second: int, size: int) -> None:
        opcode = first & 0x0F
        if first & _RESERVED:
            raise Violation(1002, "a reserved bit is set")
        if bool(second & _MASKED) is not self.from_client:
            raise Violation(1002, "a frame is not masked" if self.from_client else "a frame is masked")
        if opcode >= Opcode.CLOSE:
            if opcode > Opcode.PONG:
                raise Violation(1002, f"opcode {opcode} is not known")
            if not first & _FIN or (second & 0x7F) > _MAX_CONTROL_BYTES:
                raise Violation(1002, "a control frame is fragmented or too long")
        elif opcode > Opcode.BINARY:
            raise Violation(1002, f"opcode {opcode} is not known")
        elif (opcode == Opcode.CONTINUATION) is not bool(self._opcode):
            raise Violation(1002, "a message is interrupted by another, or continued without a beginning")
        elif len(self._gathered) + size > self.max_message_bytes:
            raise Violation(1009, f"message over {self.max_message_bytes} bytes")

    def _take(self, first: int, payload: bytes) -> Received | None:
        opcode = first & 0x0F
        if opcode >= Opcode.CLOSE:
            return _control(opcode, payload)
        if first & _FIN and not self._opcode:
            return _text(payload)  # whole binary messages have taken the short way
        if opcode:
            self._opcode = opcode
        if payload:
            self._gathered += payload
        else:
            self._empty_fragments += 1
            if self._empty_fragments > MAX_EMPTY_FRAGMENTS:
                raise Violation(1008, f"a message of more than {MAX_EMPTY_FRAGMENTS} empty fragments")
        if not first & _FIN:
            return None
        gathered, kind = self._gathered, self._opcode
        self._gathered, self._empty_fragments, self._opcode = bytearray(), 0, 0
        return bytes(gathered) if kind == Opcode.BINARY else _text(gathered)


def _check_length(size: int, least: int) -> None:
    if size < least or size >> 63:
        raise Violation(1002, "a length is not written as it must be")


def _text(payload: bytes | bytearray) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Violation(1007, "text that is not UTF-8") from None


def _control(opcode: int, payload: bytes) -> Ping | Pong | Close:
    if opcode == Opcode.PING:
        return Ping(payload)
    if opcode == Opcode.PONG:
        return Pong(payload)
    if not payload:
        return Close(1005, "")
    if len(payload) == 1:
        raise Violation(1002, "a close frame of one byte")
    code = _U16.unpack_from(payload)[0]
    if not (1000 <= code <= 1014 or 3000 <= code <= 4999) or code in (1004, 1005, 1006):
        raise Violation(1002, f"close code {code} may not be sent")
    return Close(code, _text(payload[2:]))
