"""The signals that tell a server to leave.

Rules
1. The first SIGTERM or SIGINT tells every server of this trio run that asked to be told.
2. A second signal ends the process there and then, even where the event loop is blocked: after the first, the
   system's own way to deal with both signals is back.
3. When the last server that asked has ended, what was there before is back.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, final

import trio
from attrs import define, field

from ...errors import LocalProtocolError

logger = logging.getLogger("trio_transports.server")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@final
@define(eq=False)
class _Watch:
    """Who is to be told in one trio run."""

    _token: trio.lowlevel.TrioToken
    _asked: dict[object, Callable[[], object]] = field(factory=dict, init=False)
    _before: dict[signal.Signals, Any] = field(factory=dict, init=False)

    def add(self, leave: Callable[[], object]) -> object:
        if not self._asked:
            self._before = {number: signal.signal(number, self._heard) for number in SIGNALS}
        key = object()
        self._asked[key] = leave
        return key

    def remove(self, key: object) -> None:
        del self._asked[key]
        if not self._asked:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # rule 2
        self._token.run_sync_soon(self._tell, signal.Signals(number))

    def _tell(self, number: signal.Signals) -> None:
        logger.info("%s: the server leaves; a second signal ends the process at once", number.name)
        for leave in tuple(self._asked.values()):
            leave()


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
