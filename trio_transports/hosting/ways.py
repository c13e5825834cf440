"""By which way the messages of a hosted WebSocket go: ASGI's, or the short one where nothing would be missed by it."""

from collections.abc import Awaitable, Callable
from typing import final

from attrs import define, field

from .app_queue import AppQueue
from .short_way import Frames, HostedShortWay


@final
@define(eq=False)
class Ways:
    """One WebSocket's."""

    _queue: AppQueue
    _app_send: Callable[..., Awaitable[None]]
    open_short: Callable[[AppQueue, Frames], HostedShortWay] | None = field(default=None, init=False)
    """How the connection lends its socket, where it may."""
    _short: HostedShortWay | None = field(default=None, init=False)

    def short(
        self, receive: Callable[..., object], send: Callable[..., object], frames: Frames
    ) -> HostedShortWay | None:
        """Messages without ASGI's events, for who would else call ``receive`` and ``send``: None unless these are ours.

        An app's middleware that looks at the events still sees them all.
        """
        if self.open_short is None or self._short is not None:
            return None
        if receive != self._queue.receive or send != self._app_send:
            return None
        self._short = self.open_short(self._queue, frames)
        self._queue.on_receive = self._short.decline
        return self._short

    def close(self) -> None:
        """Nobody takes messages any more."""
        if self._short is not None:
            self._short.close()
