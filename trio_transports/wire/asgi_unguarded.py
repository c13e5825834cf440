"""A connection of an ASGI server that guards nothing: written to, and left, so that this side is never held by it.

Rules
1. A write may be one that cannot be cancelled (hypercorn shields it): they go through a task of their own
   (``asgi_writer``), which can be left behind.
2. Whoever waits for an event is let go when the connection is given up; the server may never end that wait.
3. Nothing of it stays: no task here, and no full queue for the server.
"""

from contextlib import suppress
from typing import Any, Final, final

import trio
from attrs import define, field

from .asgi_sources import Source
from .asgi_writer import Writer, leave_behind, sweep

_LAST_WORDS: Final = {"type": "websocket.close", "code": 1011, "reason": ""}


@final
@define(eq=False)
class Unguarded:
    """One connection's."""

    _source: Source
    writer: Writer = field(init=False)
    receiving: trio.CancelScope | None = field(default=None, init=False)
    """Of whoever waits for an event, who has entered it; rule 2."""
    _is_disconnected: bool = field(default=False, init=False)
    _left_behind: trio.CancelScope | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.writer = Writer(self._source.send)

    def was_disconnected(self) -> None:
        """``websocket.disconnect`` was received."""
        self._is_disconnected = True
        if self._left_behind is not None:  # it waits for the event that has just come here
            self._left_behind.cancel()

    def give_up(self, *, says_goodbye: bool) -> None:
        """Let go of it, whatever it is about. ``says_goodbye``: it is open, and nobody has told the peer anything."""
        if self.receiving is not None:
            self.receiving.cancel()
        last_words: dict[str, Any] | None = dict(_LAST_WORDS) if says_goodbye else None
        self.writer.abandon(last_words)
        if not self._is_disconnected:
            self._left_behind = leave_behind(self._source.receive_left, self._source.receive_rest, self.writer)

    async def settle(self) -> None:
        """Rule 3, once it has ended."""
        if self._is_disconnected:
            with suppress(Exception):  # a server may refuse to be read after the end
                await sweep(self._source.receive_rest)
        await self.writer.stopped()
