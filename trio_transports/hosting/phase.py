"""Where a connection stands, and so until when its reader reads: the one timer that it has.

Rules
1. It is idle between two requests, for ``keep_alive_timeout``; a head that has begun is to be there within
   ``header_timeout``; while something is served nothing is timed here.
2. A connection that is to go (the server shuts down, or retires and this one has served) goes as soon as it is idle.
3. Once this side has begun to close it, the deadline is that of lingering, and stays.
"""

from math import inf
from typing import final

import trio
from attrs import define, field

from .host import Host


@final
@define(eq=False)
class Phase:
    """One connection's."""

    _host: Host
    reading: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    """Entered by the reader; its deadline is the timer."""
    is_speaking: bool = field(default=False, init=False)
    """It is known which protocol is spoken: no handshake is under way any more."""
    is_idle: bool = field(default=True, init=False)
    is_closing: bool = field(default=False, init=False)
    is_over: bool = field(default=False, init=False)
    """Nothing is read any more."""
    is_shutting_down: bool = field(default=False, init=False)
    has_begun_head: bool = field(default=False, init=False)
    has_refused: bool = field(default=False, init=False)
    """A request was answered before the app has seen it."""
    _is_retiring: bool = field(default=False, init=False)
    _has_served: bool = field(default=False, init=False)

    def begin(self, began_s: float) -> None:
        """The first request may come now; it is due since then."""
        self.set_idle(True)
        self.expect_head(began_s)

    def set_idle(self, is_idle: bool) -> None:
        """Something is served from now on, or nothing any more."""
        self.is_idle = is_idle
        self.has_begun_head = False
        if self.is_closing:
            return
        if not is_idle:
            self.reading.deadline, self._has_served = inf, True
        elif self.is_shutting_down or (self._is_retiring and self._has_served):
            self.reading.cancel()  # rule 2
        else:
            self.reading.deadline = trio.current_time() + self._host.config.keep_alive_timeout

    def expect_head(self, began_s: float) -> None:
        """The head of a request has begun then, or is due since."""
        self.has_begun_head = True
        latest = began_s + self._host.limits.header_timeout_s
        self.reading.deadline = min(self.reading.deadline, latest)

    @property
    def was_too_slow(self) -> bool:
        """Whether reading has ended because a head that was begun did not come."""
        is_leaving = self.is_closing or self.is_shutting_down
        return self.reading.cancelled_caught and self.has_begun_head and not is_leaving

    @property
    def has_answered(self) -> bool:
        """Whether anything was said to the peer: it is served, or told why not, or that the server ends."""
        return self._has_served or self.has_refused or self.is_closing or self.is_shutting_down

    def shut_down(self) -> None:
        """End as soon as nothing is served."""
        self.is_shutting_down = True
        if self.is_idle:
            self.reading.cancel()

    def retire(self) -> None:
        """Serve what is asked for next, if nothing has been yet, and then nothing more."""
        self._is_retiring = True
        if self._has_served and self.is_idle:
            self.reading.cancel()

    def linger(self, seconds: float) -> None:
        """Rule 3."""
        self.reading.deadline = trio.current_time() + seconds
