"""Where writing matters, the session's tests in virtual time run twice: written by the send task, and at once."""

import pytest

from trio_transports.testing import scripted

BOTH_WAYS = frozenset(
    {
        "test_again",
        "test_clock",
        "test_counters",
        "test_edges",
        "test_endings",
        "test_failures",
        "test_is_closing",
        "test_losses",
        "test_loudness",
        "test_output",
        "test_replies",
        "test_stalls",
        "test_uninterruptible",
    }
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rsplit(".", 1)[-1] in BOTH_WAYS and "autojump_clock" in metafunc.fixturenames:
        metafunc.fixturenames.append("sends_now")
        metafunc.parametrize("sends_now", [False, True], ids=["sends", "sends-now"], indirect=True)


@pytest.fixture
def sends_now(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripted, "SENDS_NOW", request.param)
