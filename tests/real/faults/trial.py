"""Calls through faults, many at once, at one place; and one beside them that knows of none."""

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
from tests.real.faults.kinds import CORRUPT, DROP, HARMLESS, KINDS
from tests.real.faults.observer import LIMIT_S, Call, Leftovers, Witness, until
from tests.real.faults.places import PLACES, Place
from trio_transports.testing.faults import open_fault_proxy

AT_ONCE: Final = 11
OF_AGENTS: Final = 4
"""An agent's line is never silent: each of its calls is as much work as many others."""


@define(eq=False)
class Tally:
    """What one kind of fault did to one transport."""

    calls: int = 0
    whole: int = 0
    """Calls that lost nothing."""
    struck: int = 0
    mistakes: list[str] = field(factory=list)


@define(eq=False)
class Trial:
    """All kinds of faults on one transport, each so many times."""

    transport: str
    times: int = 1
    seed: int = 0
    tallies: Mapping[str, Tally] = field(init=False)
    mistakes: list[str] = field(factory=list, init=False)
    """Those that no one kind of fault has made."""
    beside: int = field(default=0, init=False)
    """What the call beside all others has said and heard."""

    def __attrs_post_init__(self) -> None:
        self.tallies = {kind: Tally() for kind in KINDS}

    @property
    def all_mistakes(self) -> Sequence[str]:
        return [*self.mistakes, *(mistake for tally in self.tallies.values() for mistake in tally.mistakes)]

    async def run(self) -> None:
        async with self.opened() as place:
            before = Leftovers()
            limit = trio.CapacityLimiter(OF_AGENTS if self.transport == "agent" else AT_ONCE)
            async with trio.open_nursery() as calls:
                for number in range(self.times):
                    for kind in KINDS:
                        calls.start_soon(self._call_when_there_is_room, limit, place, kind, number)
            self.mistakes += await before.mistakes(place.witness, place.beside)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Place]:
        """The place, with a call beside all others; what is wrong with either is told when it is left."""
        async with PLACES[self.transport]() as place:
            async with trio.open_nursery() as nursery:
                beside = Beside(place)
                if place.beside:
                    await nursery.start(beside.run)
                yield place
                beside.is_over.set()
            self.beside += beside.heard
            await until(lambda: not place.witness.under_way, LIMIT_S)
            self.mistakes += [*beside.mistakes, *place.witness.mistakes()]

    async def _call_when_there_is_room(self, limit: trio.CapacityLimiter, place: Place, kind: str, number: int) -> None:
        async with limit:
            await self.call(place, kind, number)

    async def call(self, place: Place, kind: str, number: int) -> None:
        """One call, from dialling to the judgement of it."""
        random = Random(f"{self.seed} {self.transport} {kind} {number}")
        faults = tuple(KINDS[kind](random))
        call = Call(f"{kind} {number}".replace(" ", "-"), f"{self.transport}, {faults}", loses_bits=kind == CORRUPT)
        if kind in HARMLESS:
            call.patience_s = LIMIT_S / 2
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

            with trio.move_on_after(LIMIT_S) as limit:
                await CALLS[self.transport](place, proxy.port, call, near, random)
            if limit.cancelled_caught:
                call.mistakes.append(f"it did not end within {LIMIT_S} s")
            tally.struck += sum(proxy.struck.values())
            nursery.cancel_scope.cancel()
        await self._judge(place, call, near, kind)

    async def _judge(self, place: Place, call: Call, near: Witness, kind: str) -> None:
        tally = self.tallies[kind]
        if self.transport != "agent":
            call.heard = place.heard.pop(call.name, [])
        if place.session_of.get(call.name) in place.witness.connected:
            await until(lambda: place.far_end(call.name) is not None, LIMIT_S)
            call.far_end = place.far_end(call.name)
        place.session_of.pop(call.name, None)
        tally.calls += 1
        is_whole = call.sent == call.heard == call.back and bool(call.sent)
        tally.whole += is_whole
        if kind in HARMLESS and not is_whole and not call.explained:
            call.mistakes.append(f"nothing could be lost, and of {call.sent} came {call.heard} and {call.back}")
        tally.mistakes += [*call.judge(), *(f"{call.name}: {mistake}" for mistake in near.mistakes())]


def struck(trials: Sequence[Trial]) -> Counter[str]:
    total: Counter[str] = Counter()
    for trial in trials:
        for kind, tally in trial.tallies.items():
            total[kind] += tally.struck
    return total


async def run_all(times: int, seed: int, transports: Sequence[str] = tuple(PLACES)) -> list[Trial]:
    trials = [Trial(transport, times, seed) for transport in transports]
    for trial in trials:
        await trial.run()
    return trials


def run(times: int, seed: int, transports: Sequence[str] = tuple(PLACES)) -> list[Trial]:
    return trio.run(partial(run_all, times, seed, transports))
