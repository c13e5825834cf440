"""Tests that measure time and get no core: none of them fails for it, and none passes in silence."""

import warnings

import pytest

from tests.real.starved import STARVED, StarvedWarning, fail_or_warn


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
