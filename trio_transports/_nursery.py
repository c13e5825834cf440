"""Service tasks under a body: they outlive the body's cancellation just long enough for it to say goodbye.

Rules
1. A cancellation from outside reaches the body at once and the services not at all: each runs in a shield of its own,
   which ``open_services`` lifts when the body has ended. What the body does after a cancellation must be bounded.
2. The body ended, by any way: the services are cancelled and awaited. Nothing outlives the ``async with``.
3. A service that crashes cancels the body and the other services, and its exception comes out.
4. The body's own exception comes out as it is. Only several independent failures make a group.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVarTuple, final

import trio
from attrs import define, field

Ts = TypeVarTuple("Ts")


@final
@define(eq=False)
class Services:
    """Starts tasks; given out by ``open_services`` and valid as long as its ``async with``."""

    _nursery: trio.Nursery
    _scopes: list[trio.CancelScope] = field(factory=list)
    has_failed: bool = field(default=False, init=False)
    """A service crashed: the body's cancellation comes from that."""

    def start_soon(self, function: Callable[[*Ts], Awaitable[Any]], *args: *Ts, name: str) -> None:
        """Run ``function`` beside the body, in a shield of its own; should it raise, the body is cancelled (rule 3)."""
        # Known from now on, not from the task's first step: a body may end before that, and then cancels it as well.
        scope = trio.CancelScope(shield=True)
        self._scopes.append(scope)
        self._nursery.start_soon(self._serve, scope, function, args, name=name)

    async def _serve(
        self, scope: trio.CancelScope, function: Callable[[*Ts], Awaitable[Any]], args: tuple[*Ts]
    ) -> None:
        with scope:
            try:
                await function(*args)
            except trio.Cancelled:
                raise
            except BaseException:
                self.has_failed = True
                self.cancel()
                raise
            finally:
                self._scopes.remove(scope)

    def cancel(self) -> None:
        """Cancel the body, and the services through their shields."""
        for scope in self._scopes:
            scope.cancel()
        self._nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_services() -> AsyncIterator[Services]:
    """Run services under the body of an ``async with``; they end when it does."""
    body_error: BaseException | None = None
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            services = Services(nursery)
            try:
                yield services
            except BaseException as exc:
                body_error = exc
                raise
            finally:
                services.cancel()
    except BaseExceptionGroup as group:
        failure = _unwrapped(group, body_error)
    # Raised outside the handler, so that the exception's own context and cause stay as its author left them.
    if failure is not None:
        raise failure


def _unwrapped(group: BaseExceptionGroup[BaseException], body_error: BaseException | None) -> BaseException:
    if len(group.exceptions) > 1:
        return group
    only = group.exceptions[0]
    if not isinstance(only, BaseExceptionGroup):
        return only
    if isinstance(body_error, BaseExceptionGroup) and only.exceptions == body_error.exceptions:
        return body_error  # a cancelled scope on its way out made a copy of the body's own group
    return _unwrapped(only, body_error)
