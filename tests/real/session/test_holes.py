"""A live source with twenty holes, on every engine: real sockets, in virtual time.

What a socket was given is there to be read at once over loopback, so the clock can jump to whatever is due next when
nothing is: a minute takes seconds, and a busy machine makes nothing later. How the engines wake in real time is in
``test_stalls``.
"""

import random
from math import inf

import pytest
from trio.testing import MockClock

from tests.real.session.test_stalls import ENGINES, echoing, heard_after, quickest

JUMPS_AFTER_S = 0.001
"""How long nothing is to happen in real time before the clock jumps."""
HOLES = 20


@pytest.fixture
def mock_clock() -> MockClock:
    """It stands still until it is told to jump: what a thread is asked for meanwhile takes real time."""
    return MockClock()


def random_holes(chance: random.Random) -> list[tuple[float, float]]:
    """When each begins and how long it is; some begin on the way back from the one before."""
    holes, at_s = [], 1.0
    for _ in range(HOLES):
        length_s = chance.uniform(0.03, 0.6)
        holes.append((at_s, length_s))
        at_s += length_s + chance.uniform(0.2, 2.0)
    return holes


async def tries(engine: str, seed: int, clock: MockClock) -> str:
    """What was wrong with the echo of a source with twenty holes; empty if nothing was."""
    holes = random_holes(random.Random(seed))
    last_s = sum(holes[-1])
    async with echoing(engine) as client, client.session() as session:
        clock.autojump_threshold = JUMPS_AFTER_S
        came = await heard_after(session, holes, last_s + 3)
        clock.autojump_threshold = inf
        clock.rate = 1.0
    before_s, after_s = quickest(came, 0.4, 1.0), quickest(came, last_s + 1, last_s + 3)
    during_s = max(age_s for at_s, age_s in came if at_s >= holes[0][0])
    return (
        ""
        if during_s > before_s + 0.1 and after_s <= before_s + 0.010
        else f"{engine}, {seed}: before, during and after, in ms: "
        + ", ".join(f"{age_s * 1e3:.1f}" for age_s in (before_s, during_s, after_s))
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("engine", ENGINES)
async def test_after_twenty_random_holes(engine: str, seed: int, mock_clock: MockClock) -> None:
    """Twenty holes of any length anywhere: a second after the last the echo is as old as before the first."""
    assert await tries(engine, seed, mock_clock) == ""
