"""Threads for pictures: few of them, whatever the number of sessions, and none that keeps the memory of its work.

Rules
1. In one run of trio as many pictures are worked on at a time as the machine has cores. Who waits for a thread waits in
   a row, and a session has one picture in it and one out at most: each has its turn.
2. Nobody can stop a thread. A task that is cancelled does not wait for it: a session would not end in its time. The
   thread ends its picture for nobody, and counts as busy until then.
3. A picture takes up to ten times its file while it is decoded. Freed, that stays with the C library, for each thread
   by itself: floods of pictures left 180 MB behind, of which 40 were in use. So a thread has the library give back
   what is free: when nobody waits for it, and every ``GIVE_BACK_EACH_S`` in any case. It takes a millisecond, beside
   the loop.
"""

import ctypes
import os
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar, final

import trio
from attrs import define, field
from trio.lowlevel import RunVar

Given = TypeVar("Given")
Made = TypeVar("Made")

GIVE_BACK_EACH_S: Final = 0.25


def _find_trim() -> Callable[[int], Any] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library than glibc
        return None


_trim: Final = _find_trim()


@final
@define(eq=False)
class Workers:
    """The threads of one run of trio."""

    limiter: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(os.cpu_count() or 1))
    _gave_back_at_s: float = field(default=0.0, init=False)

    async def run(self, work: Callable[[Given], Made], given: Given) -> Made:
        """Do work in a thread, and wait for it. Cancelled, it leaves the thread to itself; rule 2."""

        def done(given: Given) -> Made:
            try:
                return work(given)
            finally:
                self._give_back()

        return await trio.to_thread.run_sync(done, given, abandon_on_cancel=True, limiter=self.limiter)

    def _give_back(self) -> None:
        """Rule 3; in the thread."""
        now_s = time.monotonic()
        is_busy = self.limiter.statistics().tasks_waiting > 0
        if _trim is not None and (not is_busy or now_s - self._gave_back_at_s > GIVE_BACK_EACH_S):
            self._gave_back_at_s = now_s
            _trim(0)


_workers: Final[RunVar[Workers]] = RunVar("picture workers")


async def in_thread(work: Callable[[Given], Made], given: Given) -> Made:
    """Have some work done on a picture in a worker thread."""
    try:
        workers = _workers.get()
    except LookupError:
        workers = Workers()
        _workers.set(workers)
    return await workers.run(work, given)
