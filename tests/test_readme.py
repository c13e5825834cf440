"""What the README says, held to what is there. Its snippets are run in tests/real/test_readme_snippets.py."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from benchmarks.report import write_report
from benchmarks.results import load
from tests import readme
from tests.readme import README, ROOT
from tests.real.readme_drivers import DRIVERS


def test_every_python_block_is_a_snippet() -> None:
    """A block of Python without a marker would be run by nothing."""
    assert readme.unmarked(README) == []


def test_every_marker_was_understood() -> None:
    """A marker with a slip in it would silently mark nothing."""
    texts = [document.read_text(encoding="utf-8") for document in (README, *readme.GUIDES)]
    markers = [marker for text in texts for marker in re.findall(r"<!-- (?:snippet|command|figures).*", text)]
    assert len(markers) == len(readme.snippets()) + len(readme.commands()) + len(readme.figures())


def test_every_snippet_has_a_driver() -> None:
    """And no driver is left of a snippet that is gone."""
    assert set(readme.snippets()) == set(DRIVERS)


@pytest.mark.parametrize("name", readme.snippets())
def test_a_snippet_is_a_whole_program(name: str) -> None:
    """It defines ``async def main``, and runs it only when it is the program; the first bot is one for ``serve``."""
    tree = ast.parse(readme.snippets()[name])
    names = {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}
    if name == "bot":
        assert names == {"bot"}
        return
    assert "main" in names
    last = tree.body[-1]
    assert isinstance(last, ast.If)
    assert ast.unparse(last.test) == "__name__ == '__main__'"


def test_the_two_commands_are_there() -> None:
    """One line each, as .ci/run takes them."""
    commands = readme.commands()
    assert set(commands) == {"demo", "test"}
    for command in commands.values():
        assert command.count("\n") == 1


def test_local_links_lead_somewhere() -> None:
    """Every relative link and picture is a file of the repository, every ``#anchor`` a heading."""
    text = README.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert (ROOT / target.partition("#")[0]).exists(), target


def test_figures_are_those_of_their_results_file(tmp_path: Path) -> None:
    """Between figure markers stand only rows and plots that the suite makes of the named file, unchanged."""
    for source, text in readme.figures():
        report = write_report(load(source), tmp_path, source.stem)[0].read_text(encoding="utf-8")
        rows = set(report.splitlines())
        for line in filter(None, text.splitlines()):
            if picture := re.fullmatch(r"!\[[^\]]*\]\((\S+)\)", line):
                shown = ROOT / picture[1]
                assert shown.read_bytes() == (tmp_path / shown.name).read_bytes(), (
                    f"{picture[1]} is not of {source.name}"
                )
            else:
                assert line.startswith("|"), f"neither a row nor a plot: {line}"
                assert line in rows, f"not in the report of {source.name}: {line}"


def test_the_front_door_is_short() -> None:
    """Under 350 lines; a first bot of twelve, a first server of two parameters."""
    assert len(README.read_text(encoding="utf-8").splitlines()) < 350
    assert len(readme.snippets()["bot"].splitlines()) <= 12
    (call,) = re.findall(r"WebsocketServerParams\((.+)\)", readme.snippets()["first_server"])
    assert call.count("=") == 2


def test_five_figures() -> None:
    """Those that one chooses by; the others are in benchmarks/results."""
    rows = [line for _, text in readme.figures() for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) - 2 == 5


def test_every_test_that_holds_a_promise_is_there() -> None:
    """What the table of promises names exists."""
    table = README.read_text(encoding="utf-8").partition("## What is promised")[2].partition("## Figures")[0]
    names = re.findall(r"`(tests/[^`]+)`", table)
    assert len(names) > 10
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_licence_stands_in_a_file_of_its_own() -> None:
    """Which the wheel has twice: in the package, and where tools look for it."""
    assert (ROOT / "trio_transports" / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license-files"] == ["trio_transports/LICENSE"]
