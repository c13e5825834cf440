"""What a peer could not say properly: counted, told in the log once, and too much of it in a row ends the session.

Rules: 1 of ``session.inbound``.
"""

import logging
from collections.abc import Callable
from typing import final

from attrs import define, field

from ..errors import RemoteProtocolError
from ..serializers.protocol import StartRefused
from .statistics import Counters

logger = logging.getLogger("trio_transports.session")


@final
@define(eq=False)
class Malformed:
    """Those of one session; ``close`` ends it with a code and reason once ``most`` came in a row."""

    _counters: Counters
    _close: Callable[[int, str], None]
    _most: int
    is_text: bool = field(default=False, init=False)
    """Whether the message that is being taken is text."""
    in_row: int = field(default=0, init=False)

    def found(self, cause: Exception | str, is_text: bool) -> None:
        """A message, or a picture of one, is malformed."""
        if not self._counters.malformed_messages:
            traceback = None if isinstance(cause, RemoteProtocolError | str) else cause
            logger.warning("malformed message skipped (later ones are only counted): %s", cause, exc_info=traceback)
        self._counters.malformed_messages += 1
        self.in_row += 1
        if self.in_row >= self._most:
            self._close(1007 if is_text else 1008, f"{self.in_row} malformed messages in a row")

    def well_formed(self) -> None:
        """A message was as it should be: the row is broken."""
        self.in_row = 0

    def refuse(self, exc: StartRefused) -> None:
        """The peer's stream cannot be taken at all."""
        logger.warning("the peer's stream is refused: %s", exc)
        self._counters.malformed_messages += 1
        self._close(1003, str(exc))
