"""What the default engine is given to read.

Rules
1. The engine keeps every fragment of a message, and bounds what is in them. Of those with nothing in them it is given
   no more than the parser of the direct engine takes: then it is told that the stream has ended, and the peer 1008.
2. What it keeps is looked at before each read: no byte is parsed twice.
"""

from collections.abc import Callable
from typing import Final, final

import trio
import trio_websocket
from attrs import define, field

from ..errors import Ending
from .rfc6455 import MAX_EMPTY_FRAGMENTS
from .short_way import ShortWay
from .stream import OwnedStream

_CHARACTER_BYTES: Final = 4
"""As many bytes, and so fragments with something in them, a character of text may come in."""
_TOO_MANY: Final = Ending(1008, f"a message of more than {MAX_EMPTY_FRAGMENTS} empty fragments", "error")


@final
@define(eq=False)
class FewFragments(trio.abc.Stream):
    """A connection's stream, as the engine is given it."""

    _stream: OwnedStream | ShortWay
    _connection: trio_websocket.WebSocketConnection | None = field(default=None, init=False)
    _refuse: Callable[[Ending], None] | None = field(default=None, init=False)

    def watch(self, connection: trio_websocket.WebSocketConnection, refuse: Callable[[Ending], None]) -> None:
        """Begin, once the handshake is over; ``refuse`` is told of the violation."""
        self._connection, self._refuse = connection, refuse

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._connection is not None and self._refuse is not None and _are_too_many(self._connection):
            self._refuse(_TOO_MANY)
            await trio.lowlevel.checkpoint()
            return b""
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _are_too_many(connection: trio_websocket.WebSocketConnection) -> bool:
    """Whether so many of what the engine keeps of a message must be empty."""
    parts = connection._message_parts
    if len(parts) <= MAX_EMPTY_FRAGMENTS:
        return False
    most_bytes = connection._message_size * (_CHARACTER_BYTES if isinstance(parts[0], str) else 1)
    return len(parts) - most_bytes > MAX_EMPTY_FRAGMENTS
