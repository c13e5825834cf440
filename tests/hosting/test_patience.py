"""How long a reader waits for the rest of a body."""

from math import inf

import pytest

from trio_transports.hosting.patience import Patience

_BODY_S = 20.0


@pytest.mark.parametrize(("read_timeout_s", "most"), [(None, inf), (3.0, 3.0)])
def test_without_a_body_only_each_read_is_limited(read_timeout_s: float | None, most: float) -> None:
    patience = Patience(read_timeout_s, _BODY_S)
    for _ in range(2):
        assert patience.limit_s(is_reading_body=False) == most
        patience.has_read(1, 1000)


def test_a_body_has_so_long_in_all() -> None:
    """And longer as it comes, to the byte; past that nothing is waited for, and the next one has as long again."""
    patience = Patience(None, _BODY_S)
    for _ in range(2):
        assert patience.limit_s(is_reading_body=True) == _BODY_S
        patience.has_read(1024, 5)
        assert patience.limit_s(is_reading_body=True) == _BODY_S - 4
        patience.has_read(0, 15.5)
        assert patience.limit_s(is_reading_body=True) == 0.5
        patience.has_read(0, 100)
        assert patience.limit_s(is_reading_body=True) == 0
        assert patience.limit_s(is_reading_body=False) == inf


def test_a_read_of_a_body_has_the_shorter_of_both_times() -> None:
    patience = Patience(3.0, _BODY_S)
    assert patience.limit_s(is_reading_body=True) == 3
    patience.has_read(0, _BODY_S - 1)
    assert patience.limit_s(is_reading_body=True) == 1
