"""The last step of what the peer sent: to those who listen in, and into the inbox."""

from collections.abc import Callable, Sequence
from typing import final

import trio
from attrs import frozen

from ..frames import Frame
from .taps import Tap
from .unread import Unread


@final
@frozen(eq=False)
class Delivery:
    """Of one session. ``close`` ends it with a code and reason when too much waits unread."""

    _unread: Unread
    _close: Callable[[int, str], None]
    taps: Sequence[Tap]
    """Asked before ``tell_taps`` is called: most sessions have none."""

    def tell_taps(self, frame: Frame) -> None:
        now_s = trio.current_time()
        for tap in tuple(self.taps):
            tap.received(frame, now_s)

    def put(self, frame: Frame, *, of_peer: bool = False) -> None:
        """Give a frame that is no audio to the handler."""
        refused = self._unread.put(frame, of_peer=of_peer)
        if refused:
            self._close(1008, refused)

    def end(self) -> None:
        """Let the input end: whatever the peer does with its connection now, there is nothing more to wait for."""
        self._unread.end()
