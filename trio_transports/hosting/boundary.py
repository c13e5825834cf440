"""Where one connection's failures stop: logged once with their traceback, and the server goes on.

Rules
1. Only a cancellation passes. SystemExit is a failure like any other: it ends one run of the app, not every call.
2. Ctrl-C is raised in whatever task happens to run. Here it is no failure but the wish to stop the server, and
   ``on_interrupt`` is told.
3. How calls end is no fault, and logged in one line.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
from hypercorn.logging import Logger

from ..errors import ConnectionClosed, HandshakeRejected
from ..wire.accepting.boundary import is_interrupt

logger = logging.getLogger("trio_transports.hosting")

_ENDINGS = (ConnectionClosed, HandshakeRejected)
_PASSING = (trio.Cancelled, GeneratorExit)


@asynccontextmanager
async def boundary(
    log: Logger,
    message: str,
    *args: object,
    on_interrupt: Callable[[], Awaitable[None]],
    is_over: Callable[[], bool] = lambda: True,
) -> AsyncIterator[None]:
    """Let nothing but a cancellation through.

    ``is_over`` tells whether the call had ended when its end came out: else it is the end of another call, which the
    app made itself, and a fault like any other.
    """
    failures: BaseException | None = None
    passing: BaseException | None = None
    try:
        yield
    except _PASSING:
        raise
    except BaseExceptionGroup as group:
        passing, failures = group.split(_PASSING)
    except BaseException as exc:
        failures = exc
    if failures is not None and is_interrupt(failures):
        await on_interrupt()
    elif failures is not None:
        await _tell(log, failures, is_over(), message, *args)
    if passing is not None:
        # Where a cancellation is all that is left, it leaves as the single Cancelled it was.
        await trio.lowlevel.checkpoint_if_cancelled()
        raise passing


async def _tell(log: Logger, exc: BaseException, is_over: bool, message: str, *args: object) -> None:
    fault: BaseException | None = exc
    if not is_over:
        pass
    elif isinstance(exc, BaseExceptionGroup):
        fault = exc.split(_ENDINGS)[1]
    elif isinstance(exc, _ENDINGS):
        fault = None
    try:
        if fault is None:
            await log.info(f"{message}: %s", *args, exc)
        else:
            await log.error(message, *args, exc_info=fault)
    except Exception:  # a logger of the user's, or one that sends over a network, ends nothing either
        logger.exception("the server's own logger failed to say: " + message, *args)
