"""The signals that tell a server to leave.

Rules
1. The first SIGTERM or SIGINT tells every server of this trio run that asked to be told.
2. A second signal ends the process there and then, even where the event loop is blocked: ``TWICE_S`` after the first,
   the system's own way to deal with both signals is back.
3. Signals that are closer than that are one: some programs tell a process, and its group as well.
4. The system spares process 1 of a container every signal that it does not ask for: that one hears the second itself.
5. When the last server that asked has ended, what was there before is back.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from types import FrameType
from typing import Any, Final, final

import trio
from attrs import define, field

from ...errors import LocalProtocolError

logger = logging.getLogger("trio_transports.server")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
TWICE_S: Final = 0.3
"""Rule 3."""


@final
@define(eq=False)
class _Watch:
    """Who is to be told in one trio run."""

    _token: trio.lowlevel.TrioToken
    _asked: dict[object, Callable[[], object]] = field(factory=dict, init=False)
    _before: dict[signal.Signals, Any] = field(factory=dict, init=False)
    _told_at_s: float = field(default=inf, init=False)
    """When the first signal came, by a clock that can be asked while the loop is blocked."""

    _hearing: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    """From the first signal until the system deals with a second; rule 2."""

    def add(self, leave: Callable[[], object]) -> object:
        """Have ``leave`` called at a signal; the result is what ``remove`` is given."""
        if not self._asked:
            self._told_at_s, self._hearing = inf, trio.CancelScope()
            self._before = {number: signal.signal(number, self._heard) for number in SIGNALS}
        key = object()
        self._asked[key] = leave
        return key

    def remove(self, key: object) -> None:
        """Forget one; with the last the signals are handled as before."""
        del self._asked[key]
        if not self._asked:
            self._hearing.cancel()
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if self._told_at_s == inf:
            self._told_at_s = monotonic()
            self._token.run_sync_soon(self._tell, signal.Signals(number))
        elif monotonic() > self._told_at_s + TWICE_S:  # rule 3
            _leave_to_the_system()
            signal.raise_signal(number)
            os._exit(128 + number)  # rule 4

    def _tell(self, number: signal.Signals) -> None:
        logger.info("%s: the server leaves; a second signal ends the process at once", number.name)
        if self._asked:
            trio.lowlevel.spawn_system_task(self._stop_hearing, self._hearing)
        for leave in tuple(self._asked.values()):
            leave()

    async def _stop_hearing(self, hearing: trio.CancelScope) -> None:
        with hearing:  # which by now may be over, with another begun
            await trio.sleep(TWICE_S)
            if os.getpid() != 1:  # rule 4
                _leave_to_the_system()


def _leave_to_the_system() -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)


_WATCH: Final[trio.lowlevel.RunVar[_Watch]] = trio.lowlevel.RunVar("trio_transports signals")


@contextmanager
def told_by_signals(leave: Callable[[], object], *, is_on: bool = True) -> Iterator[None]:
    """Have the first SIGTERM or SIGINT call ``leave`` while the block runs; with ``is_on=False``, do nothing."""
    if not is_on:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        raise LocalProtocolError(
            "signals=True works only where trio runs in the main thread, since Python hears signals nowhere else: "
            "leave it out, and call the server's shutdown() or drain() from your own handler"
        )
    try:
        watch = _WATCH.get()
    except LookupError:
        watch = _Watch(trio.lowlevel.current_trio_token())
        _WATCH.set(watch)
    key = watch.add(leave)
    try:
        yield
    finally:
        watch.remove(key)
