"""The shards of the tests that the guide tells of are all tests on real sockets, each in one shard."""

import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent
GUIDE = TESTS.parent / "trio_transports" / "docs" / "guides" / "design.md"


def commands() -> list[list[str]]:
    """The words of each shard's command."""
    return [told.split() for told in re.findall(r"`(pytest -n 6 [^`]+)`", GUIDE.read_text("utf-8"))]


def test_each_test_on_sockets_is_in_one_shard() -> None:
    named = Counter(word for command in commands() for word in command if word.startswith("tests/"))
    files = {path.relative_to(TESTS / "real").parts[0] for path in (TESTS / "real").rglob("test_*.py")}
    assert named == Counter(f"tests/real/{each}" for each in files)


def test_one_shard_is_the_rest() -> None:
    """They are run as the README's command is, which names none."""
    options = [[word for word in command if not word.startswith("tests/")] for command in commands()]
    together = ["pytest", "-n", "6", "--dist", "loadfile"]
    assert sorted(options) == sorted([[*together, "--ignore=tests/real"], *([together] * (len(options) - 1))])
    assert " ".join(together) in (TESTS.parent / "README.md").read_text("utf-8")
