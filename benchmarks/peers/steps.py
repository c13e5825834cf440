"""What trio does for a frame, counted: steps of each task and waits for I/O, which no noisy neighbour can change."""

import time
from collections import Counter
from typing import final

import trio


@final
class Steps(trio.abc.Instrument):
    """Counts and times since the start; whoever asks takes the difference of two answers."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._took_ns: Counter[str] = Counter()
        self._began_ns = 0

    def _end(self, what: str) -> None:
        # The first call may come without its beginning: the instrument was added in the middle of a step.
        if self._began_ns:
            self._count[what] += 1
            self._took_ns[what] += time.thread_time_ns() - self._began_ns
            self._began_ns = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began_ns = time.thread_time_ns()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._end(task.name)

    def before_io_wait(self, timeout: float) -> None:
        self._began_ns = time.thread_time_ns() if timeout > 0 else 0

    def after_io_wait(self, timeout: float) -> None:
        self._end("(waiting for I/O)")

    def report(self) -> dict[str, list[int]]:
        """For each task's name how many steps it took and how many nanoseconds of CPU in them."""
        return {name: [count, self._took_ns[name]] for name, count in [*self._count.items()]}


@final
class LongestStep(trio.abc.Instrument):
    """The longest step of any task since the last answer, in CPU time, so that waiting for a core is not counted."""

    def __init__(self) -> None:
        self._longest_ns = 0
        self._began_ns = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began_ns = time.thread_time_ns()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._began_ns:
            self._longest_ns = max(self._longest_ns, time.thread_time_ns() - self._began_ns)

    def report(self) -> dict[str, list[int]]:
        longest_ns, self._longest_ns = self._longest_ns, 0
        return {"longest step": [1, longest_ns]}


def install(what: str) -> Steps | LongestStep:
    """Watch from now on; called inside ``trio.run``."""
    watching = LongestStep() if what == "longest" else Steps()
    trio.lowlevel.add_instrument(watching)
    return watching
