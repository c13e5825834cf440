"""Cancelling a program at every step that trio takes in it."""

from collections.abc import Awaitable, Callable

import trio
from attrs import define, field
from trio.testing import MockClock


@define(eq=False)
class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope when the run comes to its ``step``-th task step after ``arm``."""

    step: int
    steps: int = field(default=0, init=False)
    scope: trio.CancelScope | None = field(default=None, init=False)

    def arm(self, scope: trio.CancelScope) -> None:
        self.scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.scope is None:
            return
        self.steps += 1
        if self.steps == self.step:
            self.scope.cancel()


def sweep(program: Callable[[CancelAtStep], Awaitable[None]], *, stride: int = 1, virtual_time: bool = True) -> int:
    """Run the program again and again, cancelled one step later each time, until it ends by itself; count the runs."""
    runs, step = 0, 1
    while True:
        instrument = CancelAtStep(step)
        clock = MockClock(autojump_threshold=0) if virtual_time else None
        trio.run(program, instrument, clock=clock, instruments=[instrument])
        runs += 1
        if instrument.steps < step:
            return runs
        step += stride
