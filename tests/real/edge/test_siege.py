"""Healthy callers do not feel a siege, and its besiegers are gone in time."""

import pytest
import trio

from tests.real.edge import siege
from tests.real.edge.siege import SIEGES, Felt, endure, p99
from trio_transports.wire.engines import ENGINES

pytestmark = pytest.mark.alone

TRIES = 3
"""A machine that is busy with other things may make any one of them slow."""
WORST_RATIO = 4.0
SLACK_S = 0.005
"""What one turn of another process takes, which is no siege's doing."""


def moved(felt: Felt) -> bool:
    return p99(felt.during) > WORST_RATIO * p99(felt.before) + SLACK_S


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("name", SIEGES)
async def test_healthy_callers_do_not_feel_it(name: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 99th percentile of their round trips stays where it was; nobody healthy is lost, a late caller gets in."""
    monkeypatch.setattr(siege, "PHASE_S", 1.5)
    ratios: list[float] = []
    for _ in range(TRIES):
        with trio.fail_after(120):
            felt = await endure(SIEGES[name], engine)
        if not moved(felt):
            return
        ratios.append(felt.ratio)
    pytest.fail(f"the 99th percentile was {', '.join(f'{ratio:.1f}' for ratio in ratios)} times what it is otherwise")


def test_a_siege_that_is_felt_is_seen() -> None:
    """Cold answers are not what it is compared with, nor is what comes after."""
    cold, quiet, slow = [0.5] * 50, [0.002] * 50, [0.1] * 50
    assert moved(Felt(cold=cold, before=quiet, during=slow, after=slow))
    assert not moved(Felt(cold=cold, before=quiet, during=quiet, after=slow))
    assert Felt(cold=cold, before=quiet, during=slow, after=slow).ratio == pytest.approx(50)
