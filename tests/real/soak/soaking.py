"""Calls in turn on every transport, with faults and without, for as long as told; and what the process holds meanwhile.

Rules
1. All places stay open throughout, each with a call beside. Between rounds every other call is over, and a sample is
   taken: memory, descriptors, tasks, objects.
2. The first rounds fill caches and pools, and do not count. Of the others, the second half is compared with the first:
   the lowest of each, since what is transient only adds.
3. A round during which the machine stood still is not judged, nor is a sample taken after it; with too many of them the
   soak has shown nothing.
"""

import gc
import resource
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Final

import trio
from attrs import asdict, define, field, frozen

from tests.real.faults.kinds import KINDS
from tests.real.faults.observer import LIMIT_S, descriptors, tasks, until
from tests.real.faults.places import PLACES, Place
from tests.real.faults.standstill import Standstill, shown_nothing, watched
from tests.real.faults.trial import Trial

WARM_UP_ROUNDS: Final = 2
PER_ROUND: Final = 2
"""Calls at once on each transport."""
PAGE_BYTES: Final = resource.getpagesize()

ROOM: Final = {"memory_kb": 6 * 1024, "descriptors": 0, "tasks": 0, "objects": 1500}
"""How much more the second half may hold than the first, whatever the length: a leak grows with it."""


@frozen
class Sample:
    """What the process holds when no call is under way."""

    memory_kb: int
    descriptors: int
    tasks: int
    objects: int


def sample() -> Sample:
    for _ in range(3):
        gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES // 1024
    return Sample(resident, descriptors(), len(list(tasks())), len(gc.get_objects()))


def lowest(samples: Sequence[Sample]) -> Sample:
    return Sample(**{name: min(getattr(each, name) for each in samples) for name in ROOM})


@define(eq=False)
class Soak:
    seed: int = 0
    transports: Sequence[str] = tuple(PLACES)
    trials: list[Trial] = field(factory=list, init=False)
    samples: list[Sample] = field(factory=list, init=False)
    mistakes: list[str] = field(factory=list, init=False)
    not_judged: list[str] = field(factory=list, init=False)
    """What was seen while the machine stood still."""
    rounds: int = field(default=0, init=False)
    rounds_not_judged: int = field(default=0, init=False)
    standstill: Standstill = field(factory=Standstill, init=False)

    @property
    def calls(self) -> int:
        return sum(tally.calls for trial in self.trials for tally in trial.tallies.values())

    @property
    def has_shown_nothing(self) -> str:
        """What to say where too few rounds were judged to compare one half with the other."""
        if len(self.samples) < WARM_UP_ROUNDS + 2:
            return f"this run has shown nothing: of {self.rounds} rounds {len(self.samples)} gave a sample"
        return shown_nothing(self.rounds, self.rounds_not_judged)

    async def run(self, *, rounds: int | None = None, seconds: float = float("inf")) -> None:
        random = Random(self.seed)
        self.trials = [Trial(transport, seed=self.seed, standstill=self.standstill) for transport in self.transports]
        until_s = trio.current_time() + seconds
        async with watched(self.standstill), AsyncExitStack() as stack:
            places = [await stack.enter_async_context(trial.opened()) for trial in self.trials]
            resting = len(list(tasks())), descriptors()
            while (rounds is None or self.rounds < rounds) and trio.current_time() < until_s:
                began_s = trio.current_time()
                async with trio.open_nursery() as calls:
                    for trial, place in zip(self.trials, places, strict=True):
                        for each in range(PER_ROUND):
                            kind = random.choice(list(KINDS))
                            calls.start_soon(trial.call, place, kind, self.rounds * PER_ROUND + each)
                await self._rest(places, resting, began_s)
                self.rounds += 1
        self.mistakes += [mistake for trial in self.trials for mistake in trial.all_mistakes]
        self.not_judged += [told for trial in self.trials for told in trial.all_not_judged]

    async def _rest(self, places: Sequence[Place], resting: tuple[int, int], began_s: float) -> None:
        """Wait until every call of this round is over, forget it, and take a sample."""

        def is_at_rest() -> bool:
            return len(list(tasks())) <= resting[0] and descriptors() <= resting[1]

        is_over = await until(is_at_rest, LIMIT_S)
        seen = "" if is_over else f"{len(list(tasks()))} tasks, {descriptors()} descriptors"
        for place in places:
            place.forget()
        if excuse := await self.standstill.verdict(began_s):
            self.rounds_not_judged += 1
            self.not_judged.append(f"round {self.rounds}: {excuse}" + (f"; seen: {seen}" if seen else ""))
            return
        if seen:
            self.mistakes.append(f"after round {self.rounds}: {seen}")
        self.samples.append(sample())

    def halves(self) -> tuple[Sample, Sample]:
        counted = self.samples[WARM_UP_ROUNDS:]
        half = len(counted) // 2
        return lowest(counted[:half]), lowest(counted[half:])

    def growth(self) -> Sequence[str]:
        first, second = map(asdict, self.halves())
        return [
            f"{name} grew from {first[name]} to {second[name]}"
            for name, room in ROOM.items()
            if second[name] > first[name] + room
        ]
