"""What a peer sends, parted: the ordinary messages, each one frame, and what else there is, whole, for an engine.

Rules
1. Ordinary is a whole message in one frame, masked, of text that is UTF-8 or of bytes, within the limit.
2. A ping or a pong is the engine's, and whole messages go on around it.
3. From the first frame that is neither, all bytes are the engine's, which judges them: a Close, a fragment, a message
   over the limit, anything that the RFC forbids.
"""

import struct
from collections import deque
from typing import Final, final

from attrs import define, field

from .rfc6455 import Opcode, apply_mask

_TEXT, _BINARY = 0x80 | Opcode.TEXT, 0x80 | Opcode.BINARY
_PING, _PONG = 0x80 | Opcode.PING, 0x80 | Opcode.PONG
_U16: Final = struct.Struct("!H")
_U64: Final = struct.Struct("!Q")


@final
@define(eq=False)
class Incoming:
    """One connection's bytes, as a server reads them."""

    _max_message_bytes: int
    for_engine: bytearray
    arrived: deque[str | bytes] = field(factory=deque, init=False)
    """Messages that wait for their receiver."""
    _rest: bytearray = field(factory=bytearray, init=False)
    """A frame's beginning."""
    _wanted: int = field(default=0, init=False)
    """How long that must be for another look at it."""

    def leave_to_engine(self) -> None:
        """Give the engine what was begun; no more is to be parted."""
        self.for_engine += self._rest
        self._rest.clear()

    def part(self, data: bytes) -> bool:
        """Take in what came; whether all of it was ordinary, and more can be taken. Else ``leave_to_engine``."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return True
            data = bytes(self._rest)
            self._rest.clear()
        start, end = 0, len(data)
        self._wanted = 2
        while end - start >= 2:
            first, size, body = data[start], data[start + 1] & 0x7F, start + 2
            if (
                first not in (_BINARY, _TEXT, _PING, _PONG)
                or not data[start + 1] & 0x80
                or (first > 0x88 and size > 125)
            ):
                break
            if size > 125:
                length = _U16 if size == 126 else _U64
                if end < body + length.size:
                    self._wanted = 2 + length.size
                    self._rest += data[start:]
                    return True
                least = 126 if size == 126 else 65536
                size = length.unpack_from(data, body)[0]
                body += length.size
                if size < least:
                    break
            if size > self._max_message_bytes:
                break
            if end < body + 4 + size:
                self._wanted = body + 4 + size - start
                self._rest += data[start:]
                return True
            stop = body + 4 + size
            if first in (_PING, _PONG):
                self.for_engine += data[start:stop]
            else:
                payload = apply_mask(data[body + 4 : stop], data[body : body + 4])
                if first == _BINARY:
                    self.arrived.append(payload)
                else:
                    try:
                        self.arrived.append(payload.decode())
                    except UnicodeDecodeError:
                        break
            start = stop
        self._rest += data[start:]
        return end - start < 2
