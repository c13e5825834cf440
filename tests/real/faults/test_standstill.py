"""A machine that stands still is measured; what happened meanwhile is told as not judged: not well, and not wrong."""

import time
from collections.abc import Sequence
from math import inf
from random import Random

import pytest
import trio
from trio.testing import MockClock

from tests.real.faults.calls import CALLS
from tests.real.faults.kinds import KINDS
from tests.real.faults.observer import LIMIT_S, Call, Leftovers, Witness, until
from tests.real.faults.places import Place
from tests.real.faults.standstill import (
    BOUND_S,
    NOTHING_SHOWN,
    STEP_S,
    WRONG,
    Standstill,
    report,
    shown_nothing,
    watched,
)
from tests.real.faults.trial import Trial
from tests.real.soak.__main__ import told
from tests.real.soak.soaking import Soak


async def test_a_clock_that_jumps_is_a_standstill(mock_clock: MockClock) -> None:
    """Twice; each is added, and is known by when it ended."""
    async with watched(Standstill()) as standstill:
        await trio.testing.wait_all_tasks_blocked()
        for times in (1, 2):
            mock_clock.jump(STEP_S + 3)
            await trio.testing.wait_all_tasks_blocked()
            assert standstill.total_s == pytest.approx(3 * times, abs=0.2)  # less what this process worked
        assert standstill.since(trio.current_time()) == pytest.approx(3, abs=0.1)
        assert standstill.since(trio.current_time() + 1) == 0


async def test_a_clock_that_only_goes_is_none(autojump_clock: MockClock) -> None:
    """Minutes of being woken in time."""
    async with watched(Standstill()) as standstill:
        await trio.sleep(120)
        assert standstill.total_s == 0
        assert await standstill.verdict(0) == ""


async def test_a_loop_that_is_blocked_is_noticed() -> None:
    """By something that takes no time of this process, as a machine that is paused."""
    async with watched(Standstill()) as standstill:
        began_s = trio.current_time()
        await trio.sleep(0.01)
        time.sleep(BOUND_S + 0.3)  # noqa: ASYNC251
        assert (await standstill.verdict(began_s)).startswith("not judged: the machine stood still for ")


def test_work_of_its_own_is_no_standstill() -> None:
    """A library that blocks the loop is late by its own fault, and is judged."""

    async def work() -> None:
        standstill = Standstill()
        standstill.note(late_s=5.0, worked_s=5.0)
        assert await standstill.verdict(0) == ""
        standstill.note(late_s=5.0, worked_s=1.0)
        assert standstill.total_s == 4.0

    trio.run(work, clock=MockClock(autojump_threshold=0))


async def test_a_machine_that_starves_it_is_waited_for(autojump_clock: MockClock) -> None:
    """Late by little each time is no standstill, and yet time that does not count; twice."""
    standstill = Standstill()
    for _ in range(2):
        began_s, late_s = trio.current_time(), 0.09

        async def starve() -> None:
            for _ in range(1000):
                await trio.sleep(0.1)
                standstill.note(late_s, 0.01)  # noqa: B023

        async with trio.open_nursery() as nursery:
            nursery.start_soon(starve)
            assert not await until(lambda: False, 3.0, lambda: standstill.starved_s)
            waited_s = trio.current_time() - began_s
            nursery.cancel_scope.cancel()
        assert waited_s == pytest.approx(3 / (1 - 0.8), rel=0.1)
    assert await standstill.verdict(0) == ""


@pytest.mark.parametrize(
    ("tried", "not_judged", "is_enough"), [(100, 0, True), (100, 25, True), (100, 26, False), (1, 1, False)]
)
def test_too_few_are_nothing(tried: int, not_judged: int, is_enough: bool) -> None:
    assert (not shown_nothing(tried, not_judged)) is is_enough


def test_the_exit_status_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake is one, however little was judged beside it."""
    assert report([], [], []) == report([], ["not judged: this"], []) == 0
    assert report([], ["not judged: this"], ["nothing"]) == NOTHING_SHOWN
    assert report(["wrong"], ["not judged: this"], ["nothing"]) == WRONG
    assert "1 mistakes, 1 not judged" in capsys.readouterr().out


def played(stood_s: float) -> Standstill:
    """What the machine itself does excuses nothing where no standstill is played."""
    return Standstill(bound_s=BOUND_S if stood_s else inf)


def falls(monkeypatch: pytest.MonkeyPatch, standstill: Standstill, stood_s: float) -> None:
    """From here on each call goes wrong, and the machine stands still for so long in it."""

    async def fall(place: Place, port: int, call: Call, witness: Witness, random: Random) -> None:
        del place, port, witness, random
        await trio.lowlevel.checkpoint()
        standstill.note(stood_s, 0)
        call.explained.append("it fell")
        call.mistakes.append("it went wrong")

    monkeypatch.setitem(CALLS, "client", fall)


@pytest.mark.parametrize(("stood_s", "is_judged"), [(0.0, True), (BOUND_S + 1, False)])
async def test_a_trial_sets_such_calls_aside(stood_s: float, is_judged: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen is told all the same; a trial of nothing else has shown nothing."""
    trial = Trial("client", standstill=played(stood_s))
    falls(monkeypatch, trial.standstill, stood_s)
    await trial.run()
    told = trial.all_mistakes if is_judged else trial.all_not_judged
    assert len(told) == len(KINDS)
    assert all("it went wrong" in each for each in told)
    assert not (trial.all_not_judged if is_judged else trial.all_mistakes)
    assert bool(trial.has_shown_nothing) is not is_judged
    assert sum(tally.whole for tally in trial.tallies.values()) == 0


@pytest.mark.parametrize("stood_s", [0.0, BOUND_S + 1])
async def test_what_is_left_is_a_mistake_or_not_shown(stood_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the machine stood still while it was waited for, the trial has not shown that nothing is left."""
    trial = Trial("client", kinds=("coalesce",), standstill=played(stood_s))

    async def mistakes(*_: object) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        trial.standstill.note(stood_s, 0)
        return ["a task is left"]

    monkeypatch.setattr(Leftovers, "mistakes", mistakes)
    await trial.run()
    assert trial.all_mistakes == ([] if stood_s else ["a task is left"])
    assert ("a task is left" in "".join(trial.all_not_judged)) is bool(stood_s)
    assert ("what was left" in trial.has_shown_nothing) is bool(stood_s)


@pytest.mark.parametrize(("stood_s", "status"), [(0.0, WRONG), (BOUND_S + 1, NOTHING_SHOWN)])
async def test_a_soak_sets_such_rounds_aside(stood_s: float, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sample is taken after them."""
    soak = Soak(transports=("client",))
    soak.standstill.bound_s = played(stood_s).bound_s
    falls(monkeypatch, soak.standstill, stood_s)
    await soak.run(rounds=5)
    assert told(soak) == status
    assert (len(soak.samples), soak.rounds_not_judged) == ((0, 5) if stood_s else (5, 0))


@pytest.mark.parametrize("stood_s", [0.0, BOUND_S + 1])
async def test_the_call_beside_is_excused_by_that_alone(stood_s: float) -> None:
    """One that ends by itself is a mistake; if the machine stood still it is told apart, and calls again."""
    trial = Trial("client", standstill=played(stood_s))
    async with watched(trial.standstill), trial.opened() as place:
        for times in (1, 2):
            trial.standstill.note(stood_s, 0)
            for session in list(place.witness.sessions):
                await session.aclose(1011)
            if stood_s:
                await until(lambda: len(place.witness.connected) > times, LIMIT_S)  # noqa: B023
    assert bool(trial.all_mistakes) is not bool(stood_s)
    assert len(trial.all_not_judged) == (2 if stood_s else 0)
