"""The guides: each program in them runs, each link leads somewhere, and what the errors quote is written there.

What a block of Python without a marker may be: a module with ``test_...`` functions, each of which is run in virtual
time, or one that only defines things, which is imported. Marked ones are run by ``tests/real``.
"""

import inspect
import re
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import trio
from trio.testing import MockClock

from tests import readme
from trio_transports._moved import ROWS
from trio_transports.docs.guide import ORDER, guides
from trio_transports.docs.markup import slug

BLOCKS = [(guide.stem, number) for guide in readme.GUIDES for number in range(1, len(readme.unmarked(guide)) + 1)]
LIMIT_S = 3600
"""Of virtual time: it costs nothing."""


def imported(guide: str, number: int, folder: Path) -> ModuleType:
    (text,) = [readme.unmarked(path)[number - 1] for path in readme.GUIDES if path.stem == guide]
    path = folder / f"guide_{guide}_{number}.py"
    path.write_text(text, encoding="utf-8")
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(function: object) -> None:
    assert callable(function)
    if not inspect.iscoroutinefunction(function):
        function()
        return

    async def bounded() -> None:
        with trio.fail_after(LIMIT_S):
            await function()

    trio.run(bounded, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize(("guide", "number"), BLOCKS)
def test_a_block_runs(guide: str, number: int, tmp_path: Path) -> None:
    """As it stands: imported, and every test in it is run once, in virtual time."""
    module = imported(guide, number, tmp_path)
    for name, function in vars(module).copy().items():
        if name.startswith("test_"):
            run(function)


def test_every_row_of_the_migration_table_has_its_example(tmp_path: Path) -> None:
    """The table is what the errors quote, no row more and none less, and ``test_row_NAME`` shows each."""
    text = next(guide.text for guide in guides() if guide.name == "migrating")
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", text.partition("## The table")[2], re.MULTILINE)
    assert rows[1:] == [*ROWS.values()]
    assert sorted(re.findall(r"def test_row_(\w+)", text)) == sorted(ROWS)


def test_every_file_is_in_the_order_of_reading() -> None:
    assert sorted(ORDER) == [guide.stem for guide in readme.GUIDES]
    assert all(guide.text.startswith("# ") for guide in guides())


def test_links_between_guides_lead_somewhere() -> None:
    """To a file of the folder, and to a heading in it."""
    headings = {guide.name: {slug(heading) for heading, _ in guide.parts()} for guide in guides()}
    for guide in guides():
        for name, heading in re.findall(r"\]\(([\w/.-]+?)\.md(?:#([\w-]+))?\)", guide.text):
            assert name in headings, f"{guide.name}: {name}.md"
            assert not heading or heading in headings[name], f"{guide.name}: {name}.md#{heading}"


def named_files(text: str) -> set[str]:
    """The files and folders of this repository that a text names, and the modules that it has somebody run."""
    run = re.findall(r"python -m ((?:trio_transports|tests|benchmarks)(?:\.\w+)*)", text)
    return {
        *re.findall(r"`((?:trio_transports|tests|benchmarks)/[\w./-]*)`", text),
        *(name.replace(".", "/") for name in run),
    }


def is_there(name: str) -> bool:
    return (readme.ROOT / name).exists() or (readme.ROOT / f"{name}.py").exists()


def test_the_files_that_are_named_are_there() -> None:
    """In the README, the guides, and what the code says of itself: a file that moves takes its name along."""
    places = [readme.ROOT / "README.md", *readme.GUIDES]
    places += [
        path for room in ("trio_transports", "tests", "benchmarks") for path in (readme.ROOT / room).rglob("*.py")
    ]
    made_by_running = {"benchmarks/.venvs"}
    gone = {
        (path.name, name)
        for path in places
        for name in named_files(path.read_text("utf-8")) - made_by_running
        if not is_there(name)
    }
    assert gone == set()
    assert not is_there("tests/test_nothing.py")
    assert named_files("`tests/tools.py`, ``tests/bus/`` and python -m benchmarks.load") == {
        "tests/tools.py",
        "tests/bus/",
        "benchmarks/load",
    }


def test_guides_are_on_the_page_and_found_by_the_search(page: str) -> None:
    """Each guide and each of its parts is a place that the search knows, and no marker is seen."""
    for guide in guides():
        assert f'<section id="{guide.anchor}" data-search="' in page
        for heading, _ in guide.parts():
            assert not heading or f'id="{guide.anchor}-{slug(heading)}" data-search="' in page
    assert "snippet:" not in page
    assert '<a href="#trio_transports.Session"><code>Session</code></a>' in page


@pytest.mark.parametrize("wrong", ["assert False", "async def test_x() -> None:\n    raise KeyError", "1 / 0"])
def test_a_wrong_block_is_found(wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    guide = tmp_path / "wrong.md"
    guide.write_text(f"# Wrong\n\n```python\n{wrong}\n```\n")
    monkeypatch.setattr(readme, "GUIDES", [guide])
    with pytest.raises((AssertionError, KeyError, ZeroDivisionError, ExceptionGroup)):
        partial(test_a_block_runs, "wrong", 1)(tmp_path)
