"""How long a connection's reader waits for the peer's next bytes (slow headers, slow bodies: HAZARDS 42).

Rules
1. The head of a connection's first request is to be there within ``header_timeout``, that of a later one within as
   long of its first byte, and that within hypercorn's ``keep_alive_timeout`` of the answer before it.
2. The body of a plain request may be waited for ``body_timeout`` in all, and a second longer for each
   ``_BYTES_PER_S`` of it that come: neither silence nor a trickle lasts for ever, and a long upload may.
3. Only waiting counts. While the app is slow to take what has come, nothing is read, and the peer is not to blame.
4. A WebSocket may be silent for as long as its session lets it: ``config.read_timeout``, where it is set, is for every
   read of every connection, as hypercorn's is.
"""

from math import inf
from typing import Final, final

from attrs import define, field

_BYTES_PER_S: Final = 1024


@final
@define(eq=False)
class Patience:
    _read_timeout_s: float | None
    _body_timeout_s: float
    _body_left_s: float | None = field(default=None, init=False)
    """None: no body is being read."""

    def limit_s(self, *, is_reading_body: bool) -> float:
        """How long the next read may take; ``inf`` for ever."""
        if not is_reading_body:
            self._body_left_s = None
        elif self._body_left_s is None:
            self._body_left_s = self._body_timeout_s
        most = inf if self._read_timeout_s is None else self._read_timeout_s
        return most if self._body_left_s is None else min(most, max(0.0, self._body_left_s))

    def has_read(self, byte_count: int, waited_s: float) -> None:
        if self._body_left_s is not None:
            self._body_left_s += byte_count / _BYTES_PER_S - waited_s
