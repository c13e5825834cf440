"""Who waits for a connection's messages, while another task reads them: handed over where they are read.

Rules
1. Of one read ``_AT_ONCE`` messages are handed over there; with more, the receiver wakes and takes them itself.
2. Nothing is handed over to a receiver that is being cancelled.
3. What receiving raises is raised in the task that receives, not in the one that reads.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias, final

from attrs import define, field
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

_AT_ONCE: Final = 4

Take: TypeAlias = Callable[[str | bytes], bool]


@final
@define(eq=False)
class Receiver:
    """One connection's; one task waits here at a time."""

    take: Take | None = field(default=None, init=False)
    """Of who waits; None while nobody does."""
    _task: Task | None = field(default=None, init=False)
    _error: BaseException | None = field(default=None, init=False)
    _is_done: bool = field(default=False, init=False)

    async def receive_each(self, take: Take) -> bool:
        """Wait until ``take`` has answered True, or until woken; whether it has. Cancelling it loses nothing."""
        self.take, self._task, self._is_done = take, current_task(), False
        self._error = None  # of one that was cancelled meanwhile
        await wait_task_rescheduled(self._give_up)
        if self._error is not None:
            error, self._error = self._error, None  # type: ignore[unreachable]  # set by ``hand_over`` meanwhile
            raise error
        return self._is_done

    def _give_up(self, _raise_cancel: object) -> Abort:
        # Here, not when the task goes on: rule 2.
        self.take = self._task = None
        return Abort.SUCCEEDED

    def wake(self) -> None:
        """Have who waits go on."""
        task = self._task
        if task is not None:
            self.take = self._task = None
            reschedule(task)

    def hand_over(self, arrived: deque[str | bytes]) -> None:
        """Give who waits the first of what has arrived."""
        take, task = self.take, self._task
        if take is None or task is None or not arrived:
            return
        try:
            for _ in range(min(len(arrived), _AT_ONCE)):
                if task.context.run(take, arrived.popleft()):
                    self._is_done = True
                    break
        except BaseException as exc:  # whatever it is, it is the receiver's: rule 3
            self._error = exc
        if self._is_done or self._error is not None or arrived:
            self.wake()
