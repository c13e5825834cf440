"""How a connection is closed from this side, so that what was written last is still heard.

A close is followed by at most ``LINGER_S`` of reading and discarding until the peer closes too: closing a socket with
unread data resets it, and a reset destroys a close frame that is still on its way.
"""

from contextlib import suppress
from typing import Final, final

import trio
from attrs import define

from ..wire.stream import OwnedStream
from .phase import Phase
from .runs import Runs
from .writing import Writing

LINGER_S: Final = 1.0


@final
@define(eq=False)
class Closing:
    """One connection's."""

    _socket: OwnedStream
    _is_secure: bool
    _phase: Phase
    _runs: Runs
    _writing: Writing

    async def begin(self) -> None:
        """Say that no more will come, once, and have the reader linger."""
        phase = self._phase
        if phase.is_closing or phase.is_over:
            return
        phase.is_closing = True
        websockets = self._runs.websockets
        # Nothing follows a peer's close frame. And a TLS stream has no half-close that would make a peer close in turn:
        # there it is waited for only where a close frame is on its way.
        is_silent = all(websocket.peer_said_goodbye for websocket in websockets)
        linger_s = 0 if is_silent and (websockets or self._is_secure) else LINGER_S
        with trio.move_on_after(LINGER_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            # Behind what is being written: the reader may be about to answer the peer's close, and is not cut short.
            async with self._writing.finished():
                if linger_s and not self._is_secure:
                    self._socket.shut_writing()
        phase.linger(linger_s)
