"""What the client is owed: an answer to most of what it says, and one word for the end.

Rules
1. ``disconnect`` is said once, whoever has a reason for it first.
2. A session is over by the client's own ``close``, which comes after ``disconnect`` too.
"""

from collections.abc import Mapping, Sequence
from typing import final

from attrs import define, field

from ....frames import JSONValue
from ...protocol import Message
from .messages import unnumbered


@final
@define(eq=False)
class Answers:
    """Of one session; ``give`` what has gathered."""

    _owed: tuple[Message, ...] = field(default=(), init=False)
    has_disconnected: bool = field(default=False, init=False)
    _was_closed: bool = field(default=False, init=False)

    @property
    def awaits_close(self) -> bool:
        return self.has_disconnected and not self._was_closed

    def owe(self, kind: str, session_id: str, parameters: Mapping[str, JSONValue]) -> None:
        self._owed += (unnumbered(kind, session_id, parameters),)

    def disconnect(self, session_id: str, info: str) -> None:
        """Tell what went wrong; rule 1."""
        if not self.has_disconnected:
            self.has_disconnected = True
            self.owe("disconnect", session_id, {"reason": "error", "info": info})

    def close(self, session_id: str) -> None:
        """Answer the client's last word; rule 2."""
        self.owe("closed", session_id, {})
        self.has_disconnected = self._was_closed = True

    def give(self) -> Sequence[Message]:
        """All that is owed since the last call."""
        owed, self._owed = self._owed, ()
        return owed
