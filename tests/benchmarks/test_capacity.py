"""The search for how many sessions a server holds, on servers that are made up."""

import pytest

from benchmarks.scenarios.capacity import MOST, search


@pytest.mark.parametrize("truth", [0, 2, 5, 11, 30, 59, 60, 61, 75, 95, 119, 150, 240, 333, 700])
def test_it_ends_near_the_truth_and_never_above(truth: int) -> None:
    """The last level held is within a twelfth of what is held, or five sessions, in a few levels."""
    asked: list[int] = []

    def holds(sessions: int) -> bool:
        asked.append(sessions)
        return sessions <= truth

    found = search(holds)
    assert found <= truth
    assert truth - found <= max(5, truth / 12)
    assert len(asked) <= 9
    assert len(asked) == len(set(asked))


def test_it_ends_where_nothing_fails() -> None:
    """A server that holds all that is asked for is not asked for ever."""
    assert search(lambda _sessions: True) == MOST


def test_the_last_one_held_counts_also_when_a_lower_one_failed_by_chance() -> None:
    """A level that was not held is never asked again, nor is a higher one called held."""
    answers = {60: True, 120: False, 90: False, 75: True, 80: False}
    assert search(lambda sessions: answers[sessions]) == 75
