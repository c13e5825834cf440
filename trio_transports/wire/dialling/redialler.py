"""The next connection after a lost one: tried until there is one, or until that is given up.

Rules
1. How often, and with what delay in between, says ``dialling.attempts``. Each attempt is told before its delay.
2. A server that refuses for good is not asked again: with an HTTP status of 400 to 499, but for those that ask to come
   again.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, final

import trio
from attrs import define

from ...errors import HandshakeRejected, TransportError
from ..protocol import Wire
from .attempts import Attempts

_COME_AGAIN: Final = frozenset({408, 425, 429})


@final
@define(eq=False)
class Redialler:
    """Owned by one session. ``tell`` is given the attempt's number, its delay in seconds, and what it is made for."""

    _connect: Callable[[], AbstractAsyncContextManager[Wire]]
    _attempts: Attempts
    _tell: Callable[[int, float, Exception], object]

    @asynccontextmanager
    async def redial(self, cause: TransportError) -> AsyncIterator[Wire]:
        """Open the next connection for as long as the body runs, or raise a TransportError."""
        while True:
            delay_s = self._attempts.next_delay_s(cause)
            self._tell(self._attempts.made, delay_s, cause)
            await trio.sleep(delay_s)
            is_connected = False
            try:
                async with self._connect() as wire:
                    is_connected = True
                    self._attempts.connected()
                    yield wire
                    return
            except TransportError as exc:
                if is_connected or is_final(exc):
                    raise
                cause = exc


def is_final(error: TransportError) -> bool:
    """Whether dialling again cannot help: the server has said no, and not for now only."""
    return isinstance(error, HandshakeRejected) and 400 <= error.status < 500 and error.status not in _COME_AGAIN
