"""How a command fails: one line for people, an exit code for scripts.

Exit codes: 0 it worked; 1 it did not (the network, the peer, a file); 2 the arguments are wrong; 130 interrupted.
"""

import errno
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from ..errors import TransportError

FAILED: Final = 1
WRONG_ARGUMENTS: Final = 2
INTERRUPTED: Final = 130

T = TypeVar("T")


class Failure(Exception):
    """What the command could not do, and what to do about it, in one line."""

    def __init__(self, message: str, *, exit_code: int = FAILED) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code


def failure_of(error: BaseException) -> Failure | None:
    """Say an expected error as a Failure; None for what is a mistake in this program."""
    if isinstance(error, BaseExceptionGroup):
        return _all_of(error)
    match error:
        case Failure():
            return error
        case TransportError():
            why = _system_error(error)
            return Failure(str(error) if why is None or why in str(error) else f"{error}: {why}")
        case ImportError() if "extra" in str(error):
            return Failure(str(error), exit_code=WRONG_ARGUMENTS)
        case ssl.SSLError():
            return Failure(f"TLS failed: {error}")
        case _:
            return None


def _all_of(group: BaseExceptionGroup[BaseException]) -> Failure | None:
    """What several tasks met, each thing once; None if there is a mistake among it."""
    told: dict[str, Failure] = {}
    for error in group.exceptions:
        failure = failure_of(error)
        if failure is None:
            return None
        told.setdefault(str(failure), failure)
    return Failure("; ".join(told), exit_code=next(iter(told.values())).exit_code)


def _system_error(error: BaseException | None) -> str | None:
    """Find what the system said at the bottom of it, such as "Connection refused"."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
    return None


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a command's trio program; what goes wrong in an expected way comes out as a Failure."""
    try:
        return trio.run(main)
    except BaseException as exc:
        if _is_interrupt(exc):
            raise KeyboardInterrupt from None
        failure = failure_of(exc)
        if failure is None:
            raise
        raise failure from exc


def _is_interrupt(error: BaseException) -> bool:
    """Ctrl-C arrives in some task, and so in groups."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(_is_interrupt, error.exceptions))
    return isinstance(error, KeyboardInterrupt)


def cannot_listen(error: OSError, host: str, port: int) -> Failure:
    """Say why a server could not start, and what to do about it."""
    where = f"{host} port {port}"
    match error.errno:
        case errno.EADDRINUSE:
            return Failure(
                f"{where} is in use: stop what runs there, or choose another port with --port (0: a free one)"
            )
        case errno.EACCES:
            return Failure(f"{where} is not allowed: choose a port above 1023 with --port")
        case errno.EADDRNOTAVAIL:
            return Failure(f"{host} is not an address of this machine: choose another with --host")
    return Failure(f"cannot listen on {where}: {error.strerror or error}")
