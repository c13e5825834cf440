"""Calls through faults, many at once, at one place; and one beside them that knows of none."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import Final

import trio
from attrs import define, field

from tests.real.faults.calls import CALLS, GOOD_END, PAUSE_S
from tests.real.faults.kinds import CORRUPT, DROP, HARMLESS, KINDS
from tests.real.faults.observer import LIMIT_S, Call, Leftovers, Witness, until
from tests.real.faults.places import PLACES, SHORT, Place, parsed
from trio_transports import ConnectionClosed, TextFrame, WebsocketClientParams, WebsocketClientTransport
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.testing.faults import open_fault_proxy

AT_ONCE: Final = 11


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
        async with PLACES[self.transport]() as place:
            async with trio.open_nursery() as nursery:
                is_over = await nursery.start(self._stay_beside, place)
                before = Leftovers()
                limit = trio.CapacityLimiter(AT_ONCE)
                async with trio.open_nursery() as calls:
                    for number in range(self.times):
                        for kind in KINDS:
                            calls.start_soon(self._call_when_there_is_room, limit, place, kind, number)
                beside = 0 if self.transport == "bus" else 1
                self.mistakes += await before.mistakes(place.witness, beside)
                is_over.set()
            await until(lambda: not place.witness.under_way, LIMIT_S)
            self.mistakes += place.witness.mistakes()

    async def _call_when_there_is_room(self, limit: trio.CapacityLimiter, place: Place, kind: str, number: int) -> None:
        async with limit:
            await self._call(place, kind, number)

    async def _call(self, place: Place, kind: str, number: int) -> None:
        random = Random(f"{self.seed} {self.transport} {kind} {number}")
        faults = tuple(KINDS[kind](random))
        call = Call(f"{kind} {number}".replace(" ", "-"), f"{self.transport}, {faults}", loses_bits=kind == CORRUPT)
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
        if call.name in place.session_of:
            await until(lambda: place.far_end(call.name) is not None, LIMIT_S)
            call.far_end = place.far_end(call.name)
        tally.calls += 1
        is_whole = call.sent == call.heard == call.back and bool(call.sent)
        tally.whole += is_whole
        if kind in HARMLESS and not is_whole and not call.explained:
            call.mistakes.append(f"nothing could be lost, and of {call.sent} came {call.heard} and {call.back}")
        tally.mistakes += [*call.judge(), *(f"{call.name}: {mistake}" for mistake in near.mistakes())]

    async def _stay_beside(self, place: Place, *, task_status: trio.TaskStatus[trio.Event]) -> None:
        """Rule 6 of the observer."""
        if self.transport == "bus":
            task_status.started(trio.Event())
            return
        is_over, near = trio.Event(), Witness()
        params = WebsocketClientParams(serializer=JSONFrameSerializer(), **{**SHORT, "ping_interval": None})
        transport = WebsocketClientTransport(f"ws://127.0.0.1:{place.port}/beside", params, engine="direct")
        events = transport.events()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.follow, events)
            back: list[int] = []
            async with transport.session() as session:

                @nursery.start_soon
                async def listen() -> None:
                    async for frame in session.input:
                        if isinstance(frame, TextFrame) and (said := parsed(frame.text)):
                            back.append(said[1])

                try:
                    await session.output.send(TextFrame(text="beside:0"))
                    await until(lambda: back, LIMIT_S)
                    task_status.started(is_over)
                    while not is_over.is_set():
                        self.beside += 1
                        await session.output.send(TextFrame(text=f"beside:{self.beside}"))
                        await trio.sleep(PAUSE_S)
                    await until(lambda: len(back) > self.beside, LIMIT_S)
                except ConnectionClosed as exc:
                    self.mistakes.append(f"the call beside was ended: {exc!r}")
            if back != list(range(self.beside + 1)):
                self.mistakes.append(
                    f"the call beside heard {len(back)} of its {self.beside + 1} words, or not in order"
                )
        if list(near.ended.values()) != [[GOOD_END]]:
            self.mistakes.append(f"the call beside ended as {near.ended}")


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
