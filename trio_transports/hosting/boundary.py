"""Where one connection's failures stop: logged once with their traceback, and the server goes on."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from hypercorn.logging import Logger

from ..errors import ConnectionClosed, HandshakeRejected

logger = logging.getLogger("trio_transports.hosting")

_ENDINGS = (ConnectionClosed, HandshakeRejected)


@asynccontextmanager
async def boundary(
    log: Logger, message: str, *args: object, is_over: Callable[[], bool] = lambda: True
) -> AsyncIterator[None]:
    """Let only what is not an Exception through. How calls end is no fault, and logged in one line.

    ``is_over`` tells whether the call had ended when its end came out: else it is the end of another call, which the
    app made itself, and a fault like any other.
    """
    rest: BaseException | None = None
    try:
        yield
    except Exception as exc:
        await _tell(log, exc, is_over(), message, *args)
    except BaseExceptionGroup as group:
        failures, rest = group.split(Exception)
        if failures is not None:
            await _tell(log, failures, is_over(), message, *args)
    if rest is not None:
        # Where a cancellation is all that is left, it leaves as the single Cancelled it was.
        await trio.lowlevel.checkpoint_if_cancelled()
        raise rest


async def _tell(log: Logger, exc: Exception, is_over: bool, message: str, *args: object) -> None:
    fault: BaseException | None = exc
    if not is_over:
        pass
    elif isinstance(exc, ExceptionGroup):
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
