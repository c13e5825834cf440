"""What stands between the audio of one destination's queue: messages, and things to do when their turn has come.

Rules
1. Each stands at a place: its turn comes when all audio before that was taken.
2. An interruption drops all but what is to be said to its end.
"""

from collections.abc import Callable, Sequence
from sys import getsizeof
from typing import final

from attrs import define, field, frozen

from ..serializers.protocol import Message


@final
@frozen
class QueueMark:
    """Messages that leave when all audio before ``place`` has left."""

    place: int
    messages: Sequence[Message]
    ends_utterance: bool
    is_kept: bool = False
    """An interruption leaves it where it is; rule 2."""
    reached: Callable[[], None] | None = None
    """Called when its turn has come."""
    dropped: Callable[[], None] | None = None
    """Called when an interruption drops it."""
    holds_bytes: int = 0
    """The memory that waits with it."""
    kind: str = ""
    """The name of the class of the frame that it was."""


@final
@define(eq=False)
class QueueMarks:
    """Owned by one queue."""

    each: list[QueueMark] = field(factory=list, init=False)
    message_bytes: int = field(default=0, init=False)
    """What their messages take in memory."""

    def put(self, mark: QueueMark) -> None:
        self.each.append(mark)
        self.message_bytes += sum(map(getsizeof, mark.messages))

    @property
    def held_bytes(self) -> int:
        """The memory that waits for its turn."""
        return sum(mark.holds_bytes for mark in self.each)

    def take(self) -> QueueMark:
        """The first one's turn has come."""
        mark = self.each.pop(0)
        self.message_bytes -= sum(map(getsizeof, mark.messages))
        return mark

    def drop(self) -> list[QueueMark]:
        """Drop all that may be dropped, and return it; rule 2."""
        kept = [mark for mark in self.each if mark.is_kept]
        dropped = [mark for mark in self.each if not mark.is_kept]
        self.each.clear()
        self.each.extend(kept)
        self.message_bytes = sum(getsizeof(message) for mark in kept for message in mark.messages)
        return dropped
