"""Healthy callers do not feel a siege, and its besiegers are gone in time."""

import pytest
import trio

from tests.real.edge import siege
from tests.real.edge.siege import SIEGES, endure
from trio_transports.wire.engines import ENGINES

TRIES = 3
"""A machine that is busy with other things may make any one of them slow."""
WORST_RATIO = 4.0


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("name", SIEGES)
async def test_healthy_callers_do_not_feel_it(name: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 99th percentile of their round trips stays where it was; nobody healthy is lost, a late caller gets in."""
    monkeypatch.setattr(siege, "PHASE_S", 1.5)
    ratios: list[float] = []
    for _ in range(TRIES):
        with trio.fail_after(120):
            ratios.append((await endure(SIEGES[name], engine)).ratio)
        if ratios[-1] < WORST_RATIO:
            return
    pytest.fail(f"the 99th percentile was {', '.join(f'{ratio:.1f}' for ratio in ratios)} times what it is otherwise")
