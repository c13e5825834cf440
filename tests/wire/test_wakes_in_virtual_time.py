"""What sharing holds back, and for how long: exactly, in virtual time."""

import random
import select
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, final

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.wire.wakes import BUSY_SOCKETS, HOLD_S, SharedWakes

ROUNDS: Final = 30
EVERY_S: Final = 0.02
EXACT_S: Final = 1e-9


@final
@define(eq=False)
class Crowd:
    """Sockets that share their wakes; what is sent on one is a byte, and its moment is remembered."""

    wakes: SharedWakes
    pairs: list[tuple[socket.socket, socket.socket]]
    sent_s: list[list[float]]
    held_s: list[float] = field(factory=list)
    """How long each byte lay there until it was read."""

    def send(self, place: int) -> None:
        self.sent_s[place].append(trio.current_time())
        self.pairs[place][1].send(b"x")

    def read(self, place: int) -> None:
        for _ in self.pairs[place][0].recv(100):
            self.held_s.append(trio.current_time() - self.sent_s[place].pop(0))


@asynccontextmanager
async def crowd(count: int, *, takes: bool) -> AsyncIterator[Crowd]:
    """So many readers, each of which leaves a call behind that reads (``takes``), or wakes to read."""
    with select.epoll() as epoll:
        wakes = SharedWakes(epoll)
        made = Crowd(wakes, [socket.socketpair() for _ in range(count)], [[] for _ in range(count)])
        seats = [wakes.seat(near.fileno()) for near, _ in made.pairs]

        async def read(place: int) -> None:
            def take() -> bool:
                made.read(place)
                return False

            while True:
                await seats[place].readable(take if takes else None)
                made.read(place)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wakes.run)
                for place in range(count):
                    nursery.start_soon(read, place)
                await trio.testing.wait_all_tasks_blocked()
                yield made
                nursery.cancel_scope.cancel()
        finally:
            for seat in seats:
                seat.leave()
            for pair in made.pairs:
                for end in pair:
                    end.close()


async def talk(made: Crowd, moments_s: list[tuple[float, int]]) -> None:
    """Send at each moment on that socket, and wait until all is read."""
    began_s = trio.current_time()
    for moment_s, place in sorted(moments_s):
        await trio.sleep_until(began_s + moment_s)
        made.send(place)
    await trio.sleep(1)
    assert len(made.held_s) == len(moments_s)


def at_phases(count: int, seed: int) -> list[tuple[float, int]]:
    """As callers speak: each every 20 ms, at a moment of its own."""
    drawn = random.Random(seed)
    phases = [drawn.random() * EVERY_S for _ in range(count)]
    return [(number * EVERY_S + phase_s, place) for number in range(ROUNDS) for place, phase_s in enumerate(phases)]


def in_bursts(count: int, seed: int) -> list[tuple[float, int]]:
    """All at once, and at any time between, with silences after which nobody is busy."""
    drawn = random.Random(seed)
    moments, at_s = [], 0.0
    for _ in range(ROUNDS):
        at_s += drawn.choice((0.0005, 0.0021, 0.019, 0.3))
        moments += [(at_s + drawn.choice((0.0, 0.0, drawn.random() * 0.004)), place) for place in range(count)]
    return moments


@pytest.mark.parametrize("takes", [False, True])
@pytest.mark.parametrize("spoken", [at_phases, in_bursts])
@pytest.mark.parametrize("count", [BUSY_SOCKETS + 1, 50, 120])
async def test_no_message_is_held_longer_than_the_hold(
    autojump_clock: object, count: int, spoken: Callable[[int, int], list[tuple[float, int]]], takes: bool
) -> None:
    """However many speak, and whenever: each is read within HOLD_S of its coming, and many wakes are spared."""
    for seed in range(2):
        async with crowd(count, takes=takes) as made:
            await talk(made, spoken(count, seed))
        assert max(made.held_s) <= HOLD_S + EXACT_S
        assert 0 < made.wakes.held < len(made.held_s) / 1.4


@pytest.mark.parametrize("takes", [False, True])
async def test_few_are_never_held(autojump_clock: object, takes: bool) -> None:
    """With no more than BUSY_SOCKETS each is read at the moment at which it comes."""
    async with crowd(BUSY_SOCKETS, takes=takes) as made:
        await talk(made, at_phases(BUSY_SOCKETS, 1))
    assert max(made.held_s) <= EXACT_S
    assert made.wakes.held == 0
