"""``.ci/mutate.py`` tells what tests notice from what they do not, on a package of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readme import ROOT

pytestmark = pytest.mark.timeout(400)
RUN_S = 300
"""A dozen seconds on a machine that has nothing else to do."""

CODE = """
def is_more(number):
    return number > 3

def spent(number):
    while number > 0:
        number -= 1
    return number

def unused():
    return "nobody asks"

class Plain:
    def __init__(self):
        self.is_ready = True

class Derived(Plain):
    def __init__(self):
        super().__init__()

def _made():
    return [8]

MADE = _made()

def _pair():
    return lambda: 20, lambda: 30

PAIR = _pair()
"""
TESTS = """
from trio_transports import few

def test_five_is_more():
    assert few.is_more(5)

def test_one_is_spent():
    assert few.spent(1) == 0

def test_what_is_derived_is_ready():
    assert few.Derived().is_ready is True

def test_what_is_made_while_it_is_imported():
    assert few.MADE == [8]

def test_the_first_of_a_pair_in_one_line():
    assert few.PAIR[0]() == 20

def test_fails_always():
    assert few.is_more(3)
"""
FEW = "trio_transports/few.py"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("mutated")
    for part in (".ci", "trio_transports", "tests/few"):
        (folder / part).mkdir(parents=True)
    for module in ("mutate.py", "mutants.py"):
        shutil.copy(ROOT / ".ci" / module, folder / ".ci")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    (folder / ".ci" / "equivalent_mutants.txt").write_text(f"{FEW}:is_more: 3 becomes 4 # one that no test shall see\n")
    (folder / "trio_transports" / "__init__.py").touch()
    (folder / FEW).write_text(CODE)
    (folder / "tests" / "few" / "test_few.py").write_text(TESTS)
    command = [sys.executable, ".ci/mutate.py", FEW, "--least", "1"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=RUN_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (folder / FEW).read_text() == CODE
    assert sorted(path.name for path in Path(folder / "tests" / "few").glob("*.py")) == ["test_few.py"]
    return ran.stdout.splitlines()


def test_what_no_test_notices_is_alive(told: list[str]) -> None:
    """What is asked too little, and what nobody calls; not what is known to be the same."""
    assert sorted(line for line in told if line.startswith("alive: ")) == [
        f"alive: {FEW}:_pair: 30 becomes 31 (line 27)",
        f"alive: {FEW}:is_more: number > 3 becomes number >= 3 (line 3)",
        f"alive: {FEW}:unused: return 'nobody asks' gives nothing (line 11)",
    ]
    assert told[0] == "15 mutants in 1 modules, and 1 that no test can see"
    assert told[-1] == "dead: 12 of 15 (80.0%)"


@pytest.mark.parametrize(
    ("mutant", "test"),
    [
        ("is_more: return number > 3 gives nothing", "five_is_more"),
        ("Derived.__init__: super().__init__() is left out", "what_is_derived_is_ready"),
        ("_made: 8 becomes 9", "what_is_made_while_it_is_imported"),
    ],
)
def test_what_a_test_notices_dies(told: list[str], mutant: str, test: str) -> None:
    """By the test that calls it, or that sees what it has done while it was imported."""
    assert any(line.endswith(f"died {FEW}:{mutant} [tests/few/test_few.py::test_{test}]") for line in told), told


def test_what_hangs_is_run_again_alone(told: list[str]) -> None:
    lines = [line for line in told if f"{FEW}:spent: number -= 1 becomes number += 1" in line]
    assert len(lines) == 2, told
    assert all(" hung " in line and line.endswith("[tests/few/test_few.py::test_one_is_spent]") for line in lines), told
    assert told[-2] == "died 11, alive 3, hung again 1"


def test_what_fails_on_the_unchanged_code_is_left_out(told: list[str]) -> None:
    assert any(line.endswith("the unchanged code: tests/few/test_few.py::test_fails_always") for line in told), told
