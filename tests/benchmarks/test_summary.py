"""Medians, spreads and ratios."""

import pytest

from benchmarks.summary import number, ratio, spread


def test_ratio_is_taken_round_by_round() -> None:
    """A machine that became half as fast between two rounds does not move a ratio."""
    found = ratio([10, 20, 11], [20, 40, 22])
    assert found is not None
    assert (found.middle, found.lowest, found.highest) == (0.5, 0.5, 0.5)


def test_ratio_is_the_median_of_its_rounds() -> None:
    """One disturbed round does not move the middle, and shows in the extremes."""
    found = ratio([1, 9, 1], [2, 2, 2])
    assert found is not None
    assert (found.middle, found.lowest, found.highest) == (0.5, 0.5, 4.5)
    assert str(found) == "0.50x"


def test_no_ratio_without_a_base() -> None:
    """Dividing by nothing, or by zeros, gives no ratio rather than a number."""
    assert ratio([1, 2], []) is None
    assert ratio([1, 2], [0, 0]) is None


def test_spread() -> None:
    """The spread is the range in shares of the median; one value has none."""
    assert spread([90, 100, 110]) == pytest.approx(0.2)
    assert spread([5]) == 0
    assert spread([0, 0]) == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (123.4, "123"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.0123, "0.012"),
        (0.0000123, "1.2e-05"),
        (-5.5, "-5.50"),
    ],
)
def test_numbers_are_written_for_people(value: float, text: str) -> None:
    """Three digits that count."""
    assert number(value) == text
