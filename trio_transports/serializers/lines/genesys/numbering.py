"""The numbers of a session's messages, on both sides, and which of the client's break the rules for them.

Rules
1. Each side numbers its own from 1 without gaps, and says which of the other's it has seen.
2. What could not be read had a number all the same: where some were not, the next may skip as many.
3. This side's numbers are put in when a message is written, so that they are in the order of the wire.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from attrs import define, field

from ....errors import RemoteProtocolError
from ....frames import JSONValue
from ...protocol import Message
from ..line import MAX_ID_CHARS
from .messages import VERSION, is_unnumbered, numbered


@final
@define(eq=False)
class Numbering:
    """Of one session."""

    id: str | None = field(default=None, init=False)
    """The session's, which each message has; None until it was opened."""
    _heard: int = field(default=0, init=False)
    """The number of the client's last message."""
    _unread: int = field(default=0, init=False)
    """How many of the client's messages since then could not be read."""
    _said: int = field(default=0, init=False)
    """The number of the last message from here."""

    def numbered(self, message: Message) -> Message:
        """Put the next number into a message that is written now; rule 3."""
        if not isinstance(message, str) or not is_unnumbered(message):
            return message
        self._said += 1
        return numbered(message, self._said, self._heard)

    @contextmanager
    def unread_if_refused(self) -> Iterator[None]:
        """Count what cannot be read; rule 2."""
        try:
            yield
        except RemoteProtocolError:
            self._unread += self.id is not None
            raise

    def check_place(self, document: dict[str, JSONValue], *, is_open: bool) -> None:
        """RemoteProtocolError for what has no place in any session; ``is_open``: it opens one."""
        if document.get("version") != VERSION:
            raise RemoteProtocolError(f"version {VERSION} is wanted", path="version")
        identity = document.get("id")
        if not isinstance(identity, str) or not 0 < len(identity) <= MAX_ID_CHARS:
            raise RemoteProtocolError(f"an id of 1 to {MAX_ID_CHARS} characters is wanted", path="id")
        if self.id is None and not is_open:
            raise RemoteProtocolError("an open message is wanted first", path="type")

    def broken_by(self, document: dict[str, JSONValue], *, is_open: bool) -> tuple[str, str] | None:
        """Which rule of this session the message breaks, and where in it; None: none."""
        if self.id is not None and (is_open or document["id"] != self.id):
            return "the session is open already" if is_open else "another session's id", "id"
        seq = document.get("seq")
        if type(seq) is not int or not self._heard < seq <= self._heard + 1 + self._unread:
            return f"message {self._heard + 1} is wanted", "seq"
        seen = document.get("serverseq")
        if type(seen) is not int or not 0 <= seen <= self._said:
            return f"of this side's messages {self._said} were sent, no more", "serverseq"
        return None

    def took(self, document: dict[str, JSONValue]) -> None:
        """This message, which breaks no rule, was read."""
        seq = document["seq"]
        assert type(seq) is int
        self._heard, self._unread = seq, 0
