"""What sharing wakes costs: two milliseconds of the median round trip at most, beside a server that shares none.

How late this machine wakes whoever sleeps for those two milliseconds is its own, and is measured in the same seconds.
"""

import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

import pytest
import trio

from tests.real.asgi.apps import SessionApp
from tests.real.asgi.hosts import hosted
from tests.real.asgi.test_asgi_short_way import chunk_params
from tests.real.session.places import server_params, serving, upgraded
from tests.real.session.test_shared_wakes import QUESTION, Caller, answer_words
from tests.real.starved import fail_or_warn, watch_core
from tests.real.wire.steps import steps_of
from trio_transports.wire.engines import ENGINES
from trio_transports.wire.wakes import BUSY_SOCKETS, HOLD_S

pytestmark = pytest.mark.alone

CALLERS: Final = 2 * BUSY_SOCKETS
EVERY_S: Final = 0.02
ASKED_S: Final = 1.2
WARM_S: Final = 0.2
TRIES: Final = 3

Connect: TypeAlias = Callable[[], Awaitable[trio.SocketStream]]
"""Gives a raw connection past the upgrade."""


@asynccontextmanager
async def answering(server: str, *, share_wakes: bool) -> AsyncIterator[Connect]:
    """A server that answers words, by an engine or under ``serve_asgi``."""
    if server == "asgi":
        async with hosted(SessionApp(answer_words, chunk_params()), limits={"share_wakes": share_wakes}) as host:
            yield partial(upgraded, host.port)
        return
    async with serving(answer_words, server_params(share_wakes=share_wakes), engine=server) as place:
        yield place.upgraded
        place.transport.shutdown()


async def ask(caller: Caller, first_s: float, took_s: list[float]) -> None:
    """Ask every 20 ms of one's own time, and note how long each answer takes."""
    for number in range(round(ASKED_S / EVERY_S)):
        await trio.sleep_until(first_s + number * EVERY_S)
        began_s = trio.current_time()
        await caller.stream.socket.send(QUESTION)
        with trio.fail_after(30):
            await caller.answer()
        if number * EVERY_S >= WARM_S:
            took_s.append(trio.current_time() - began_s)


async def sleep_beside(late_s: list[float]) -> None:
    """Sleep as long as a wake is held back, again and again, and note by how much it was longer."""
    while True:
        due_s = trio.current_time() + HOLD_S
        await trio.sleep_until(due_s)
        late_s.append(trio.current_time() - due_s)


async def medians(servers: list[Connect]) -> list[float]:
    """Of each server's callers, who all ask in the same second, in turns, each at a moment of its own.

    The last is the lateness of the machine.
    """
    late_s: list[float] = []
    took_s: list[list[float]] = [[] for _ in servers]
    async with AsyncExitStack() as streams, trio.open_nursery() as nursery:
        callers = [
            [Caller(await streams.enter_async_context(await connect())) for _ in range(CALLERS)] for connect in servers
        ]
        nursery.start_soon(sleep_beside, late_s)
        start_s = trio.current_time() + 0.05
        async with trio.open_nursery() as asking:
            for at, those in enumerate(callers):
                for number, caller in enumerate(those):
                    phase_s = (number * len(servers) + at) * EVERY_S / (CALLERS * len(servers))
                    asking.start_soon(ask, caller, start_s + phase_s, took_s[at])
        nursery.cancel_scope.cancel()
    return [statistics.median(each) for each in (*took_s, late_s)]


@pytest.mark.parametrize("server", [*ENGINES, "asgi"])
async def test_sharing_wakes_costs_two_milliseconds_at_most(server: str) -> None:
    """The medians of two servers that are asked at the same time differ by no more, in one of three tries."""
    told, waited = [], []
    for _ in range(TRIES):
        without_core = watch_core()
        async with (
            answering(server, share_wakes=True) as shares,
            answering(server, share_wakes=False) as shares_none,
        ):
            with steps_of("shared wakes") as steps:
                shared_s, alone_s, late_s = await medians([shares, shares_none])
        waited.append(without_core())
        told.append(shared_s - alone_s - late_s)
        assert 0 < steps["shared wakes"] < CALLERS * ASKED_S / EVERY_S
        if told[-1] <= HOLD_S:
            return
    fail_or_warn(f"the median round trip was longer by {told} s", waited)
