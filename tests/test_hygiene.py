"""The checks in conftest.py bite: one run of pytest on tests that each leave something behind."""

import re
import shutil

import pytest

from tests.inner import run_pytest
from tests.readme import ROOT

pytestmark = pytest.mark.timeout(400)  # the first test waits for the inner run

UNTIDY = """
import socket, sys
import pytest, trio

kept = []

def test_holds_a_socket():
    kept.append(socket.socket())

async def test_drops_a_socket_in_a_cycle():
    loop = [trio.socket.socket()]
    loop.append(loop)

async def test_forgets_to_await():
    trio.sleep(1)

async def test_leaves_a_system_task():
    trio.lowlevel.spawn_system_task(trio.sleep_forever)

@pytest.mark.leaves_system_task("that is its subject")
async def test_may_leave_a_system_task():
    trio.lowlevel.spawn_system_task(trio.sleep_forever)

async def test_skips_inside_a_nursery():
    async with trio.open_nursery():
        pytest.skip("what is missing")

async def test_is_tidy(nursery, autojump_clock):
    nursery.start_soon(trio.sleep_forever)
    with socket.socket():
        await trio.sleep(3600)
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("untidy")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "tests").mkdir()
    for module in ("conftest.py", "tools.py", "turns.py"):
        shutil.copy(ROOT / "tests" / module, folder / "tests")
    (folder / "tests" / "test_untidy.py").write_text(UNTIDY)
    return run_pytest("-rA", "--tb=line", cwd=folder)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("holds_a_socket", "ERROR"),
        ("drops_a_socket_in_a_cycle", "ERROR"),
        ("forgets_to_await", "FAILED"),
        ("leaves_a_system_task", "FAILED"),
        ("may_leave_a_system_task", "PASSED"),
        ("is_tidy", "PASSED"),
    ],
)
def test_what_is_left_behind_is_seen(outcome: str, test: str, expected: str) -> None:
    """Each untidy test fails or errs, and those that may pass do."""
    told = re.findall(rf"^(\w+) tests/test_untidy.py::test_{test}\b", outcome, re.MULTILINE)
    assert expected in told, outcome
    if expected == "PASSED":
        assert set(told) == {"PASSED"}, outcome


def test_a_skip_keeps_its_reason(outcome: str) -> None:
    """Also out of a nursery, where pytest-trio would lose it."""
    assert re.search(r"^SKIPPED .*: what is missing$", outcome, re.MULTILINE), outcome
