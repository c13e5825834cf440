"""A short soak: what the process holds between the rounds does not grow.

``python -m tests.real.soak 15`` is the long one.
"""

import re

import pytest

from tests.readme import README
from tests.real.faults.places import PLACES
from tests.real.soak.soaking import ROOM, WARM_UP_ROUNDS, Sample, Soak
from tests.real.starved import fail_or_warn, watch_core

ROUNDS = 6
TRANSPORTS = ("client", "server", "serve_asgi", "serve", "bus", "agent", "dialects")
"""The long one takes all."""


@pytest.mark.timeout(400)  # up to three tries
async def test_nothing_grows(caplog: pytest.LogCaptureFixture) -> None:
    """One transport of each kind with faults, some rounds: the second half holds no more than the first."""
    caplog.set_level("ERROR")
    waited: list[float] = []
    for _ in range(3):
        no_core = watch_core()
        soak = Soak(2, TRANSPORTS)
        await soak.run(rounds=ROUNDS)
        waited.append(no_core())
        if not soak.has_shown_nothing:  # else the machine stood still: once more
            break
    if soak.has_shown_nothing:
        fail_or_warn(soak.has_shown_nothing, waited)
        return
    assert not soak.mistakes, "\n".join(soak.mistakes)
    assert not soak.growth()
    assert soak.calls == 2 * ROUNDS * len(soak.transports)
    assert len(soak.samples) + soak.rounds_not_judged == ROUNDS


@pytest.mark.parametrize("leaks", ROOM)
def test_growth_is_seen(leaks: str) -> None:
    """Of each thing that is sampled, alone; what was held while caches filled does not count."""
    soak = Soak()
    soak.samples = [Sample(9_000_000, 900, 900, 9_000_000)] * WARM_UP_ROUNDS
    for number in range(10):
        held = {"memory_kb": 90_000, "descriptors": 20, "tasks": 30, "objects": 100_000}
        held[leaks] += number * (ROOM[leaks] // 4 + 1)
        soak.samples.append(Sample(**held))
    assert [leaks in growth for growth in soak.growth()] == [True]


def test_the_readme_tells_of_every_transport() -> None:
    """As many calls on each of those that the long one takes."""
    told = re.search(r"([\d,]+) calls with faults, (\d+) on each of (\d+) transports", README.read_text("utf-8"))
    assert told is not None
    calls, each, transports = (int(count.replace(",", "")) for count in told.groups())
    assert (calls, transports) == (each * transports, len(PLACES))
