"""What one connection is to do when its server stops, each in a task of the connection and once."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, final

from attrs import define, field

Callback: TypeAlias = Callable[[], Awaitable[object]]


@final
@define(eq=False)
class OnShutdown:
    _start_soon: Callable[[Callback], None]
    _callbacks: list[Callback] = field(factory=list, init=False)
    _has_begun: bool = field(default=False, init=False)

    def call(self, callback: Callback) -> Callable[[], None]:
        """Have ``callback`` called when the server stops, or now if it does already; returns its removal."""
        if self._has_begun:
            self._start_soon(callback)
        else:
            self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    def begin(self) -> None:
        """The server stops."""
        self._has_begun = True
        while self._callbacks:
            self._start_soon(self._callbacks.pop())
