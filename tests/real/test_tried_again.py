"""A test that fails on a busy machine has one more try, and says so; on any other it fails."""

from pathlib import Path

import pytest

from tests.inner import run_pytest
from tests.readme import ROOT

pytestmark = pytest.mark.timeout(400)  # each waits for an inner run
CONFTEST = """
import tests.real.tried_again
from tests.real.tried_again import pytest_runtest_protocol

tests.real.tried_again.watch_spare = lambda: lambda: {spare}
"""
TESTS = """
import pytest

tries = []
made = []


@pytest.fixture
def fresh():
    made.append(1)
    yield len(made)


@pytest.fixture(scope="module")
def shared():
    return made.append(1)


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_it(bad, fresh, shared):
    tries.append(bad)
    assert tries.count(bad) > bad, f"try {tries.count(bad)} of {bad}"


def test_each_try_had_fixtures_of_its_own(shared):
    assert len(made) == 1 + len(tries)
"""


def outcome(folder: Path, spare: float) -> str:
    (folder / "conftest.py").write_text(CONFTEST.format(spare=spare), encoding="utf-8")
    (folder / "test_some.py").write_text(TESTS, encoding="utf-8")
    return run_pytest("-v", "-p", "no:cacheprovider", "-W", "error", "--rootdir", folder, folder, cwd=ROOT)


@pytest.mark.parametrize(("spare", "passed", "failed"), [(0.0, 3, 1), (0.5, 2, 2)])
def test_once_more_and_no_more(spare: float, passed: int, failed: int, tmp_path: Path) -> None:
    """What fails once passes on a busy machine, with a warning that says how it failed; what fails twice fails."""
    told = outcome(tmp_path, spare)
    assert f"{failed} failed, {passed} passed" in told.splitlines()[-1]
    named = "test_it[1] failed on a busy machine, and passed when it was tried again"
    assert (named in told) is (spare == 0.0)
    assert "AssertionError: try 1 of 1" in told
    assert ("AssertionError: try 2 of 2" in told) is (spare == 0.0)
    assert told.count("test_some.py::test_it[1] PASSED") == (spare == 0.0)
