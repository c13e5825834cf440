"""What sharing wakes costs: two milliseconds of the median round trip at most, beside a server that shares none.

How late this machine wakes whoever sleeps for those two milliseconds is its own, and is measured in the same seconds.
"""

import os
import statistics
from contextlib import AsyncExitStack
from typing import Final

import pytest
import trio

from benchmarks.load.clocks import waited_ns
from tests.real.session.places import Place, server_params, serving
from tests.real.session.test_shared_wakes import QUESTION, Caller, answer_words
from tests.real.wire.steps import steps_of
from trio_transports.wire.engines import ENGINES
from trio_transports.wire.wakes import BUSY_SOCKETS, HOLD_S

pytestmark = pytest.mark.alone

CALLERS: Final = 2 * BUSY_SOCKETS
EVERY_S: Final = 0.02
ASKED_S: Final = 1.2
WARM_S: Final = 0.2
TRIES: Final = 3
STARVED: Final = 0.1
"""A process that had no core for so much of the time says nothing of what it waits for by itself."""


async def ask(caller: Caller, first_s: float, took_s: list[float]) -> None:
    """Ask every 20 ms of one's own time, and note how long each answer takes."""
    for number in range(round(ASKED_S / EVERY_S)):
        await trio.sleep_until(first_s + number * EVERY_S)
        began_s = trio.current_time()
        await caller.stream.socket.send(QUESTION)
        with trio.fail_after(10):
            await caller.answer()
        if number * EVERY_S >= WARM_S:
            took_s.append(trio.current_time() - began_s)


async def sleep_beside(late_s: list[float]) -> None:
    """Sleep as long as a wake is held back, again and again, and note by how much it was longer."""
    while True:
        due_s = trio.current_time() + HOLD_S
        await trio.sleep_until(due_s)
        late_s.append(trio.current_time() - due_s)


async def medians(places: list[Place]) -> list[float]:
    """Of each place's callers, who all ask in the same second, in turns, each at a moment of its own.

    The last is the lateness of the machine.
    """
    late_s: list[float] = []
    took_s: list[list[float]] = [[] for _ in places]
    async with AsyncExitStack() as streams, trio.open_nursery() as nursery:
        callers = [
            [Caller(await streams.enter_async_context(await place.upgraded())) for _ in range(CALLERS)]
            for place in places
        ]
        nursery.start_soon(sleep_beside, late_s)
        start_s = trio.current_time() + 0.05
        async with trio.open_nursery() as asking:
            for at, those in enumerate(callers):
                for number, caller in enumerate(those):
                    phase_s = (number * len(places) + at) * EVERY_S / (CALLERS * len(places))
                    asking.start_soon(ask, caller, start_s + phase_s, took_s[at])
        nursery.cancel_scope.cancel()
    return [statistics.median(each) for each in (*took_s, late_s)]


@pytest.mark.parametrize("engine", list(ENGINES))
async def test_sharing_wakes_costs_two_milliseconds_at_most(engine: str) -> None:
    """The medians of two servers that are asked at the same time differ by no more, in one of three tries."""
    told, waited = [], []
    for _ in range(TRIES):
        began_s, waited_before_ns = trio.current_time(), waited_ns(os.getpid())
        async with (
            serving(answer_words, engine=engine) as shares,
            serving(answer_words, server_params(share_wakes=False), engine=engine) as shares_none,
        ):
            with steps_of("shared wakes") as steps:
                shared_s, alone_s, late_s = await medians([shares, shares_none])
            shares.transport.shutdown()
            shares_none.transport.shutdown()
        waited.append((waited_ns(os.getpid()) - waited_before_ns) / 1e9 / (trio.current_time() - began_s))
        told.append(shared_s - alone_s - late_s)
        assert 0 < steps["shared wakes"] < CALLERS * ASKED_S / EVERY_S
        if told[-1] <= HOLD_S:
            return
    if min(waited) < STARVED:
        pytest.fail(f"the median round trip was longer by {told} s, where there was no core for {waited} of the time")
