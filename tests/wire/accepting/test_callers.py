"""Where an app finds who counts its server's callers."""

from typing import Any

import pytest

from trio_transports.wire.accepting.callers import EXTENSION, CallerCounts, asking, count_refusal


def test_a_server_of_ours_is_asked_at_any_time() -> None:
    """What is given asks it anew each time."""
    counts = CallerCounts()
    scope = {"extensions": {EXTENSION: counts}}
    ask = asking(scope)
    assert ask is not None
    assert (ask().connections, ask().let_in, dict(ask().turned_away)) == (0, 0, {})
    for turn in (1, 2):
        count_refusal(scope, "full")
        counts.connections, counts.let_in = turn + 5, turn
        now = ask()
        assert (now.connections, now.let_in, dict(now.turned_away)) == (turn + 5, turn, {"full": turn})


@pytest.mark.parametrize("extensions", [None, {}, {EXTENSION: None}, {EXTENSION: object()}, "none"])
def test_another_server_knows_nothing(extensions: object) -> None:
    scope: dict[str, Any] = {} if extensions == "none" else {"extensions": extensions}
    assert asking(scope) is None
    count_refusal(scope, "full")
