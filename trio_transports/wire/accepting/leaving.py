"""How a server leaves: it is told once, by a signal or a call, and every caller hears of it in time.

Rules
1. Told to leave, a server lets nobody new in: they get a 503. Calls under way may finish for as long as was said, 0 s
   by default.
2. Then every caller still there is told, all at the same time and by the server itself: no handler can keep a caller
   from hearing it, whether it shields itself, swallows its cancellation or never returns (HAZARDS 35). Each farewell
   has ``close_timeout`` to let what is queued leave first; past that it is cancelled, and says goodbye at once.
3. The handlers are cancelled after that, and the server ends when they have.
4. A server that is cancelled leaves too: what is queued is dropped, and every caller is told at once.
5. Told again, it keeps to the earlier of the two times.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias, TypeVar, final

import trio
from attrs import define, field

from ..refusal import Refusal
from .boundary import failures_end_here
from .listening import accept_from

logger = logging.getLogger("trio_transports.server")

StreamT = TypeVar("StreamT", bound=trio.abc.Stream)

Farewell: TypeAlias = Callable[[], Awaitable[object]]
"""Let what is queued leave, and say goodbye. Cancelled, it says goodbye without waiting for the queue."""

GOING_AWAY: Final = (1001, "the server is shutting down")
LEAVING: Final = Refusal(status=503, body="the server is shutting down", headers=(("Retry-After", "1"),))
"""Who comes while calls under way may still finish."""


def check_drain(seconds: float) -> None:
    """Refuse what is no time for calls to finish in; where a signal is to begin it, that would be too late to do so."""
    wanted = f"drain must be a number of seconds, 0 or more, not {seconds!r}"
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(wanted)
    if not seconds >= 0:
        raise ValueError(wanted)


@final
@define(eq=False)
class Leaving:
    """One server's way out, from the first moment on. ``begin`` may be called from any task, at any time."""

    _serving: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    """Its deadline is when whoever is left is told."""
    has_begun: bool = field(default=False, init=False)
    _farewells: dict[object, Farewell] = field(factory=dict, init=False)

    def begin(self, seconds: float = 0.0) -> None:
        """Leave: calls under way have ``seconds`` to finish by themselves."""
        check_drain(seconds)
        self.has_begun = True
        self._serving.deadline = min(self._serving.deadline, trio.current_time() + seconds)
        self._end_if_empty()

    @property
    def guests(self) -> int:
        return len(self._farewells)

    @contextmanager
    def guest(self, farewell: Farewell) -> Iterator[None]:
        """Have ``farewell`` called when the server leaves while the block runs."""
        key = object()
        self._farewells[key] = farewell
        try:
            yield
        finally:
            del self._farewells[key]
            self._end_if_empty()

    async def serve(self, listen: Callable[[], Awaitable[object]], *, close_timeout_s: float) -> None:
        """Run ``listen`` until the server has left; then say goodbye to whoever is still there."""
        try:
            with self._serving:
                await listen()
        finally:
            # Rule 4: where this is cancelled, each farewell is too, and says goodbye at once.
            async with trio.open_nursery() as nursery:
                for farewell in tuple(self._farewells.values()):
                    nursery.start_soon(_say, farewell, close_timeout_s)

    def _end_if_empty(self) -> None:
        if self.has_begun and not self._farewells:
            self._serving.cancel()


async def serve_connections(
    listeners: list[trio.abc.Listener[StreamT]],
    serve_connection: Callable[[StreamT], Awaitable[object]],
    leaving: Leaving,
    *,
    close_timeout_s: float,
    on_listening: Callable[[], object],
) -> None:
    """Serve each connection in a task of its own until told to leave, and return when all have ended."""
    async with trio.open_nursery() as connections:

        def take(stream: StreamT) -> None:
            connections.start_soon(serve_connection, stream)

        async def listen() -> None:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    accepting.start_soon(accept_from, listener, take)
                on_listening()

        await leaving.serve(listen, close_timeout_s=close_timeout_s)
        connections.cancel_scope.cancel()  # rule 3


async def _say(farewell: Farewell, close_timeout_s: float) -> None:
    # The boundary between one caller's goodbye and the others'.
    with trio.move_on_after(close_timeout_s), failures_end_here(_tell_not_told):
        await farewell()


def _tell_not_told(failure: BaseException) -> None:
    logger.error("a caller could not be told that the server is leaving", exc_info=failure)
