"""Tests that measure time and get no core: none of them fails for it, and none passes in silence."""

import warnings

import pytest

from tests.real.starved import DRAWN_OUT, MUCH_LONGER, PIECES, STARVED, StarvedWarning, drawn_out, fail_or_warn


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.real.starved.drawn_out", lambda: DRAWN_OUT / 2)


@pytest.mark.usefixtures("steady")
def test_one_good_try_is_enough_to_fail() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"late by 3 s, where .* no core: 0\.50, 0\.01"):
        fail_or_warn("late by 3 s", [5 * STARVED, STARVED / 10])


def test_who_had_no_core_says_so_by_name() -> None:
    """That is a warning although all others are errors."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("error")
        fail_or_warn("late by 3 s", [5 * STARVED, STARVED])
    assert [each.category for each in seen] == [StarvedWarning]
    said = str(seen[0].message)
    assert "test_who_had_no_core_says_so_by_name has shown nothing: late by 3 s, where" in said


def test_a_machine_that_is_taken_away_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.real.starved.drawn_out", lambda: DRAWN_OUT)
    with pytest.warns(StarvedWarning, match=r"late by 3 s, .* 0\.040 of equal work was drawn out"):
        fail_or_warn("late by 3 s", [0.0])


@pytest.mark.parametrize(("longer", "rounds"), [(MUCH_LONGER - 1, 2), (MUCH_LONGER + 1, 1)])
def test_what_takes_much_longer_is_drawn_out(longer: int, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the pieces one in a hundred takes so many times as long."""
    monkeypatch.setattr("tests.real.starved.ROUNDS", 2)
    now_s, pieces = 0, 0

    def clock() -> float:
        nonlocal now_s, pieces
        pieces += 1
        if pieces % 2 == 0:
            now_s += longer if pieces % 200 == 0 else 1
        return now_s

    share = longer / (99 + longer)
    assert drawn_out(clock) == pytest.approx(share if longer > MUCH_LONGER else 0.0)
    assert pieces == 2 * PIECES * rounds
