"""Where what one connection's code raises stops: that connection ends by it, and the server goes on.

Rules
1. Whatever the user's code raises is a failure of one connection, SystemExit and every other BaseException too.
2. What is meant for more than one connection passes: a cancellation, and Ctrl-C (KeyboardInterrupt), which Python
   raises in whatever task happens to run.
3. Of a group each part goes its own way.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import trio

from ..protocol import Wire

PASSING: Final = (trio.Cancelled, GeneratorExit, KeyboardInterrupt)


def failure_in(error: BaseException) -> BaseException | None:
    """What of it is one connection's affair; rules 1 and 3."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(PASSING)[1]
    return None if isinstance(error, PASSING) else error


def passing_in(error: BaseException) -> BaseException | None:
    """What of it is meant for more; rules 2 and 3."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(PASSING)
    return error if isinstance(error, PASSING) else None


def is_interrupt(error: BaseException) -> bool:
    """Whether Ctrl-C is in it."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)


@asynccontextmanager
async def closing_what_fails(wire: Wire, close_timeout_s: float) -> AsyncIterator[None]:
    """Say 1011 to the peer when the block fails before it has a session, which would say so itself."""
    try:
        yield
    except BaseException as exc:
        if failure_in(exc) is not None:
            # Shielded: a cancellation would take the place of what failed. The deadline bounds it.
            with trio.move_on_after(close_timeout_s, shield=True):
                await wire.aclose(1011, "internal error")
        raise


@contextmanager
def failures_end_here(tell: Callable[[BaseException], object]) -> Iterator[None]:
    """Give ``tell`` what failed in the block, and let pass what passes."""
    passing: BaseException | None = None
    try:
        yield
    except BaseException as exc:
        failure = failure_in(exc)
        if failure is None:
            raise
        passing = passing_in(exc)
        tell(failure)
    if passing is not None:
        raise passing
