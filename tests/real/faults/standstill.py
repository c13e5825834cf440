"""How long the machine stood still: a task that wants to wake every 0.1 s, and adds up by how much it woke late.

Rules
1. Less than ``GRACE_S`` late is what any busy machine does, and is not added.
2. What this process worked for meanwhile is no standstill: a loop that the library blocks with work of its own is late
   by its own fault, and what comes of that is judged.
3. A machine that gives its turns late, one after the other and none by much, starves this process without standing
   still. All of that together is ``starved_s``: whoever waits for something waits so much longer.
4. What lay within more than ``BOUND_S`` of standstill is not judged: neither as survived nor as failed. Who has judged
   too little has shown nothing, and says so.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

import trio
from attrs import define, field

STEP_S: Final = 0.1
GRACE_S: Final = 0.1
BOUND_S: Final = 2.0
JUDGED_SHARE: Final = 0.75
"""Of all that was tried, so much has to be judged."""
WRONG: Final = 1
NOTHING_SHOWN: Final = 3
_MOST_REMEMBERED: Final = 1000


@final
@define(eq=False)
class Standstill:
    """What the machine did to whoever wanted a turn; it knows as long as it is ``watched``."""

    bound_s: float = BOUND_S
    """With more of it nothing is judged."""
    total_s: float = field(default=0.0, init=False)
    starved_s: float = field(default=0.0, init=False)
    """All lateness that was not this process's own work; rule 3."""
    _late: deque[tuple[float, float]] = field(factory=lambda: deque(maxlen=_MOST_REMEMBERED), init=False)

    async def run(self) -> None:
        while True:
            due_s, worked_s = trio.current_time() + STEP_S, time.thread_time()
            await trio.sleep_until(due_s)
            self.note(trio.current_time() - due_s, time.thread_time() - worked_s)

    def note(self, late_s: float, worked_s: float) -> None:
        """It woke so late; and so much of that this process worked itself."""
        stood_s = late_s - worked_s
        self.starved_s += max(0.0, stood_s)
        if stood_s > GRACE_S:
            self.total_s += stood_s
            self._late.append((trio.current_time(), stood_s))

    def since(self, at_s: float) -> float:
        """How long it stood still, as far as that ended after this time."""
        return sum(stood_s for woke_s, stood_s in self._late if woke_s >= at_s)

    async def verdict(self, since_s: float) -> str:
        """Why nothing since then is judged; empty where it is."""
        await trio.sleep(STEP_S)  # so that what has just happened has been noted
        stood_s = self.since(since_s)
        return f"not judged: the machine stood still for {stood_s:.1f} s" if stood_s > self.bound_s else ""


@asynccontextmanager
async def watched(standstill: Standstill) -> AsyncIterator[Standstill]:
    """It watches for as long as the body runs."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(standstill.run)
        yield standstill
        nursery.cancel_scope.cancel()


def shown_nothing(tried: int, not_judged: int) -> str:
    """What to say where too little was judged; empty where it was enough."""
    if tried - not_judged >= max(1.0, JUDGED_SHARE * tried):
        return ""
    return f"this run has shown nothing: {not_judged} of {tried} were not judged, as the machine stood still"


def report(mistakes: Sequence[str], not_judged: Sequence[str], shows_nothing: Sequence[str]) -> int:
    """Print what came of a run, and give its exit status: 0 all well, 1 a mistake, 3 too little was judged."""
    print(f"{len(mistakes)} mistakes, {len(not_judged)} not judged")
    for each in (*not_judged, *mistakes, *shows_nothing):
        print("  " + each)
    if mistakes:
        return WRONG
    return NOTHING_SHOWN if shows_nothing else 0
