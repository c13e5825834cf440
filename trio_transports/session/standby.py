"""A reader that has left a call behind: what comes is dealt with where it is put, without a task being woken for it.

Rules
1. The call is made in the reader's context and waits for nothing. What it raises is raised in the reader. It answers
   whether it has dealt with the frame: True, and the reader sleeps on; False, the frame is to be queued; None, in part,
   and the reader has to go on with the rest.
2. ``AT_ONCE`` frames of one message are dealt with like that, the others wait in the queue: one peer's message holds
   nobody up for longer than that. Who takes messages says when one begins.
3. What is put from inside the call is queued.
4. A reader that was cancelled, or woken for whatever else, deals with nothing more here, and nothing is kept of it.
5. What the dialect owes its peer for a message leaves ahead of what is said to its frames, and a pause that it asks for
   has begun: that is done ``first``.
"""

from collections.abc import Callable
from typing import Final, TypeAlias, final

from attrs import define, field
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from ..frames import Frame

AT_ONCE: Final = 4

Deal: TypeAlias = Callable[[Frame], bool | None]


@final
@define(eq=False)
class StandbyWait:
    """One wait of a reader."""

    deal: Deal
    task: Task
    failure: BaseException | None = field(default=None, init=False)
    """What ``deal`` has raised."""
    is_whole: bool = field(default=True, init=False)
    """Whether all of what was dealt with last is done."""


@final
@define(eq=False)
class Standby:
    """Owned by one queue of frames."""

    _waiting: StandbyWait | None = field(default=None, init=False)
    _left: int = field(default=0, init=False)
    """How many frames more of this message; rule 2."""

    first: Callable[[], None] | None = field(default=None, init=False)
    """What is done before a message's frames are dealt with."""

    @property
    def is_waiting(self) -> bool:
        return self._waiting is not None

    def message_begins(self) -> None:
        """Its frames follow; rules 2 and 5."""
        if self._waiting is not None:
            self._left = AT_ONCE
            if self.first is not None:
                self.first()

    async def wait(self, deal: Deal) -> bool:
        """Wait until there is something in the queue, or at its end; False: it did a part, there is no frame yet."""
        waiting = self._waiting = StandbyWait(deal, current_task())
        try:
            await wait_task_rescheduled(self._abort)
        finally:
            failure, waiting.failure = waiting.failure, None
            if failure is not None:  # also where what raised has cancelled the reader before
                try:
                    raise failure
                finally:
                    del failure
        return waiting.is_whole

    def wake(self) -> None:
        waiting = self._waiting
        if waiting is not None:
            self._waiting = None
            reschedule(waiting.task)

    def takes(self, frame: Frame) -> bool:
        """Deal with a frame, if somebody has left a call behind for it."""
        waiting, left = self._waiting, self._left
        if waiting is None or not left:
            return False
        self._left = 0  # rule 3
        try:
            outcome = waiting.task.context.run(waiting.deal, frame)
        except BaseException as exc:  # whatever it is, it is the reader's: rule 1
            waiting.failure = exc
            self.wake()
            return True
        self._left = left - 1
        if outcome is None:
            waiting.is_whole = False
            self.wake()
        return outcome is not False

    def _abort(self, _raise_cancel: object) -> Abort:
        self._waiting = None
        return Abort.SUCCEEDED
