"""Where one task waits to be woken, by others or by a time: the cheapest wait that trio offers.

Rules
1. One task at a time sleeps here. A ``wake`` without a sleeper is not remembered: look at the state first, then sleep.
2. ``sleep_until`` ends by returning, not by an exception that is caught again, which would cost as much as the rest.
3. A cancellation from outside is delivered as always.
"""

from typing import final

import trio
from attrs import define, field
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled


@final
@define(eq=False)
class Sleeper:
    _task: Task | None = field(default=None, init=False)

    def wake(self) -> None:
        """Let the sleeper go on; without one, nothing happens (rule 1)."""
        task = self._task
        if task is not None:
            self._task = None
            reschedule(task)

    async def sleep(self) -> None:
        self._task = current_task()
        await wait_task_rescheduled(self._abort)

    async def sleep_until(self, time_s: float) -> None:
        """Sleep until woken, or until ``time_s``: neither is an error."""
        with trio.CancelScope(deadline=time_s) as alarm:
            task = self._task = current_task()

            def abort(_raise_cancel: object) -> Abort:
                self._task = None
                if not alarm.cancel_called:
                    return Abort.SUCCEEDED
                reschedule(task)  # a Value can be unwrapped once only
                return Abort.FAILED

            await wait_task_rescheduled(abort)

    def _abort(self, _raise_cancel: object) -> Abort:
        self._task = None
        return Abort.SUCCEEDED
