"""Healthy callers do not feel a siege, and its besiegers are gone in time."""

from collections.abc import Iterator

import pytest

from tests.real.edge.besieged import GONE_BY_S, SERVERS, Server, two_of
from tests.real.edge.siege import HEALTHY, SIEGES, Felt, blocked, endure, p99, row

pytestmark = pytest.mark.alone

TRIES = 3
"""A machine that is busy with other things may make any one of them slow."""
WORST_RATIO = 2.0
SLACK_S = 0.005
"""What one turn of another process takes, which is no siege's doing."""
LATE_S = 10.0
"""How late a busy machine may be; besiegers that are not seen off stay for ever."""


def moved(felt: Felt) -> bool:
    return p99(felt.besieged) > WORST_RATIO * p99(felt.beside) + SLACK_S


@pytest.fixture(scope="module", params=list(SERVERS))
def twins(request: pytest.FixtureRequest) -> Iterator[tuple[str, Server, Server]]:
    with two_of(request.param) as (besieged, twin):
        yield request.param, besieged, twin


@pytest.mark.parametrize("name", SIEGES)
async def test_healthy_callers_do_not_feel_it(name: str, twins: tuple[str, Server, Server]) -> None:
    """The 99th percentile of their round trips is as at a server beside it that nobody besieges; nobody is lost."""
    server, *both = twins
    seen: list[str] = []
    for _ in range(TRIES):
        felt = await endure(SIEGES[name], *both)
        assert felt.gone_after[0] < 3 * GONE_BY_S + LATE_S
        if not moved(felt):
            return
        seen.append(row(name, server, felt))
    pytest.fail("\n".join(seen))


async def test_a_siege_that_is_felt_is_seen(twins: tuple[str, Server, Server]) -> None:
    """A server whose loop stands still again and again is told from its twin."""
    server, *both = twins
    seen: list[str] = []
    for _ in range(TRIES):
        felt = await endure(blocked, *both)
        assert min(len(felt.besieged), len(felt.beside)) > HEALTHY
        if moved(felt):
            return
        seen.append(row("a loop that stands still", server, felt))
    pytest.fail("\n".join(seen))


def test_only_what_was_measured_in_the_same_seconds_is_compared() -> None:
    """Cold answers are not."""
    cold, quiet, slow = [0.5] * 50, [0.002] * 50, [0.1] * 50
    assert moved(Felt(cold=cold, besieged=slow, beside=quiet))
    assert not moved(Felt(cold=cold, besieged=quiet, beside=quiet))
    assert not moved(Felt(cold=cold, besieged=slow, beside=slow))
    assert Felt(cold=cold, besieged=slow, beside=quiet).ratio == pytest.approx(50)
