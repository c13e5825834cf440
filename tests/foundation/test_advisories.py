"""The check of lower bounds against known holes, as CI runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECK = ROOT / ".ci" / "check_advisories.py"

pytestmark = pytest.mark.skipif(not CHECK.exists(), reason="not in a checkout: .ci is not part of a release")


def check(pyproject: Path, *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(CHECK), str(pyproject), *options], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_no_lower_bound_lets_a_known_hole_in() -> None:
    """What pyproject.toml takes at the least is within no advisory; nor is anything that is installed here."""
    code, said = check(ROOT / "pyproject.toml", "--installed")
    assert code == 0, said


@pytest.mark.parametrize(
    ("bound", "is_hole"),
    [
        ("protobuf>=5.29.1,<8", True),
        ("protobuf>=5.29.6,<8", False),
        ("protobuf>=6.30", True),
        ("protobuf>=6.33.5", False),
        ("Starlette>=0.49", True),
        ("starlette>=1.3.1", False),
        ("starlette", True),
        ("orjson==3.11.5", True),
        ("h11[fast]>=0.14", True),
    ],
)
def test_the_check_finds_a_hole(bound: str, tmp_path: Path, *, is_hole: bool) -> None:
    """A bound inside an advisory fails it, by name; one at the fixed version does not."""
    file = tmp_path / "pyproject.toml"
    file.write_text(f'[project]\nname = "x"\ndependencies = []\noptional-dependencies = {{ a = ["{bound}"] }}\n')
    code, said = check(file)
    assert (code != 0) is is_hole, said
    assert ("fixed in" in said) is is_hole
