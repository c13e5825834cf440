"""Calls through faults, many at once, at one place; and one beside them that knows of none.

A call during which the machine stood still is not judged: it is counted apart, with what was seen of it.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Final

import trio
from attrs import define, field

from tests.real.faults.beside import Beside
from tests.real.faults.calls import CALLS
from tests.real.faults.kinds import CORRUPT, DROP, HARMLESS, KINDS, SLOW
from tests.real.faults.observer import LIMIT_S, Call, Leftovers, Witness, until
from tests.real.faults.places import PLACES, Place
from tests.real.faults.standstill import Standstill, shown_nothing, watched
from trio_transports.testing.faults import open_fault_proxy

AT_ONCE: Final = 11
FEWER: Final = {"agent": 4}
"""An agent's line is never silent: each of its calls is as much work as many others."""


@define(eq=False)
class Tally:
    """What one kind of fault did to one transport."""

    calls: int = 0
    whole: int = 0
    """Calls that lost nothing."""
    struck: int = 0
    not_judged: list[str] = field(factory=list)
    """Calls during which the machine stood still, each with what was seen of it."""
    mistakes: list[str] = field(factory=list)


@define(eq=False)
class Trial:
    """All kinds of faults on one transport, each so many times."""

    transport: str
    times: int = 1
    seed: int = 0
    kinds: Sequence[str] = field(default=tuple(KINDS), kw_only=True)
    limit_s: float = field(default=LIMIT_S, kw_only=True)
    standstill: Standstill = field(factory=Standstill, kw_only=True)
    """Of the machine; ``run`` watches it, and whoever only calls ``call`` has to."""
    tallies: Mapping[str, Tally] = field(init=False)
    mistakes: list[str] = field(factory=list, init=False)
    """Those that no one kind of fault has made."""
    beside: int = field(default=0, init=False)
    """What the call beside all others has said and heard."""
    not_judged: list[str] = field(factory=list, init=False)
    """What was seen of all calls together, or of the call beside, while the machine stood still."""
    _is_end_unjudged: bool = field(default=False, init=False)
    """Something was left after all calls, or a session's end untold, while the machine stood still."""

    def __attrs_post_init__(self) -> None:
        self.tallies = {kind: Tally() for kind in self.kinds}

    @property
    def all_mistakes(self) -> Sequence[str]:
        return [*self.mistakes, *(mistake for tally in self.tallies.values() for mistake in tally.mistakes)]

    @property
    def all_not_judged(self) -> Sequence[str]:
        return [*self.not_judged, *(told for tally in self.tallies.values() for told in tally.not_judged)]

    @property
    def has_shown_nothing(self) -> str:
        """What to say where too few calls were judged, or what they left was not; empty where it was enough."""
        if self._is_end_unjudged:
            return "this run has shown nothing: what was left was not judged, as the machine stood still"
        calls = sum(tally.calls for tally in self.tallies.values())
        return shown_nothing(calls, sum(len(tally.not_judged) for tally in self.tallies.values()))

    async def run(self) -> None:
        async with watched(self.standstill), self.opened() as place:
            before = Leftovers()
            limit = trio.CapacityLimiter(FEWER.get(self.transport, AT_ONCE))
            async with trio.open_nursery() as calls:
                for number in range(self.times):
                    for kind in self.kinds:
                        calls.start_soon(self._call_when_there_is_room, limit, place, kind, number)
            began_s = trio.current_time()
            left = await before.mistakes(place.witness, place.beside, self.limit_s)
            self._tell(left, await self.standstill.verdict(began_s) if left else "")

    def _tell(self, mistakes: Sequence[str], excuse: str) -> None:
        if excuse:
            self._is_end_unjudged = True
            self.not_judged.append(f"{excuse}; seen: {list(mistakes)}")
        else:
            self.mistakes += mistakes

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Place]:
        """The place, with a call beside all others; what is wrong with either is told when it is left."""
        async with PLACES[self.transport]() as place:
            async with trio.open_nursery() as nursery:
                beside = Beside(place, self.standstill, self.limit_s)
                if place.beside:
                    nursery.start_soon(beside.run)
                    await beside.is_under_way.wait()
                yield place
                beside.is_over.set()
            self.beside += beside.words
            self.not_judged += beside.not_judged
            began_s = trio.current_time()
            is_over = await until(lambda: not place.witness.under_way, self.limit_s)
            self._tell(place.witness.mistakes(), "" if is_over else await self.standstill.verdict(began_s))
            self.mistakes += beside.mistakes

    async def _call_when_there_is_room(self, limit: trio.CapacityLimiter, place: Place, kind: str, number: int) -> None:
        async with limit:
            await self.call(place, kind, number)

    async def call(self, place: Place, kind: str, number: int) -> None:
        """One call, from dialling to the judgement of it."""
        began_s = trio.current_time()
        random = Random(f"{self.seed} {self.transport} {kind} {number}")
        faults = tuple(KINDS[kind](random))
        call = Call(
            f"{kind} {number}".replace(" ", "-"),
            f"{self.transport}, {faults}",
            loses_bits=kind == CORRUPT,
            loses_nothing=kind in HARMLESS - SLOW,
            starved_s=lambda: self.standstill.starved_s,
            turn=number * len(KINDS) + list(KINDS).index(kind),
        )
        if kind in HARMLESS:
            call.patience_s = self.limit_s / 2
        near, tally = Witness(), self.tallies[kind]
        async with (
            open_fault_proxy(place.port, faults, seed=self.seed + number) as proxy,
            trio.open_nursery() as nursery,
        ):
            if kind == DROP:

                @nursery.start_soon
                async def drop() -> None:
                    await trio.sleep(random.uniform(0, 0.3))
                    proxy.down()
                    tally.struck += 1
                    await trio.sleep(random.uniform(0.02, 0.2))
                    await proxy.up()

            with trio.move_on_after(self.limit_s) as limit:
                nursery.start_soon(self._extend, limit)
                await CALLS[self.transport](place, proxy.port, call, near, random)
            if limit.cancelled_caught:
                call.mistakes.append(f"it did not end within {self.limit_s} s")
            tally.struck += sum(proxy.struck.values())
            nursery.cancel_scope.cancel()
        await self._look(place, call)
        self._judge(call, near, kind, await self.standstill.verdict(began_s))

    async def _extend(self, limit: trio.CancelScope) -> None:
        """Time in which this process had no turn does not count."""
        starved_s, deadline_s = self.standstill.starved_s, limit.deadline
        while True:
            limit.deadline = deadline_s + self.standstill.starved_s - starved_s
            await trio.sleep(0.2)

    async def _look(self, place: Place, call: Call) -> None:
        """How the call looked from the far end, once that is over too."""
        if self.transport != "agent":
            call.heard = place.heard.pop(call.name, [])
        if place.session_of.get(call.name) in place.witness.connected:
            await until(lambda: place.far_end(call.name) is not None, self.limit_s, call.starved_s)
            call.far_end = place.far_end(call.name)
        call.dropped_s += place.witness.dropped_s.get(place.session_of.get(call.name, ""), 0.0)
        place.session_of.pop(call.name, None)

    def _judge(self, call: Call, near: Witness, kind: str, excuse: str) -> None:
        tally = self.tallies[kind]
        tally.calls += 1
        mistakes = [*call.judge(), *(f"{call.name}: {mistake}" for mistake in near.mistakes())]
        if excuse:
            tally.not_judged.append(f"{self.transport}, {call.name}: {excuse}; seen: {mistakes}")
        else:
            tally.whole += call.is_whole
            tally.mistakes += mistakes


def struck(trials: Sequence[Trial]) -> Counter[str]:
    total: Counter[str] = Counter()
    for trial in trials:
        for kind, tally in trial.tallies.items():
            total[kind] += tally.struck
    return total


def told(trials: Sequence[Trial]) -> tuple[Sequence[str], Sequence[str]]:
    """All mistakes, and all that was not judged."""
    return (
        [mistake for trial in trials for mistake in trial.all_mistakes],
        [each for trial in trials for each in trial.all_not_judged],
    )


async def run_all(times: int, seed: int, transports: Sequence[str] = tuple(PLACES)) -> list[Trial]:
    trials = [Trial(transport, times, seed) for transport in transports]
    for trial in trials:
        await trial.run()
    return trials


def run(times: int, seed: int, transports: Sequence[str] = tuple(PLACES)) -> list[Trial]:
    return trio.run(partial(run_all, times, seed, transports))
