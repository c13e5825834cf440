"""What the command line names is found, or the line says what is wrong and what to do."""

import sys
from pathlib import Path

import pytest

from trio_transports.serve.target import NoSuchBot, load_bot

BOTS = """
from trio_transports.pipeline import Pipeline

async def bot(session): ...
async def other(session): ...
async def stream(session): yield
def slow(session): ...
async def greedy(session, more): ...
number = 5
piped = Pipeline([lambda frame: frame])

class Desk:
    async def answer(self, session): ...

desk = Desk()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("shop_bots.py", "shop-bots.py", "json.py", "shop.bots.py"):
        (tmp_path / name).write_text(BOTS, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "shop_bots", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("shop_bots:other", "shop_bots:other"),
        ("shop_bots", "shop_bots:bot"),
        ("shop_bots.py", "shop_bots:bot"),
        ("./shop_bots.py:other", "shop_bots:other"),
        ("shop_bots:desk.answer", "shop_bots:desk.answer"),
        ("shop-bots.py", "shop-bots.py:bot"),
        ("shop_bots:piped", "shop_bots:piped"),
        ("trio_transports.examples.echo", "trio_transports.examples.echo:bot"),
    ],
)
def test_it_is_found(folder: Path, target: str, name: str) -> None:
    assert load_bot(target).name.endswith(name.removeprefix("shop_bots"))


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("no_such_module:bot", "there is no module 'no_such_module'"),
        ("no_such.py", "there is no file no_such.py"),
        ("shop_bots:othr", "did you mean shop_bots:other?"),
        ("shop_bots:slow", "is not async: write 'async def' before it"),
        ("shop_bots:number", "is no function that takes a session"),
        ("shop_bots:Desk", "is a class: name an async function"),
        ("shop_bots:stream", "yields: send with session.output"),
        (".shop_bots:bot", "is relative: name the module from the current folder"),
        ("json.py", "Python has a module 'json' already"),
        ("shop.bots.py", "a name without a dot before .py"),
        ("shop_bots:greedy", "does not take one argument, the session"),
        (":bot", "is not MODULE:HANDLER"),
    ],
)
def test_a_mistake_is_told(folder: Path, target: str, told: str) -> None:
    with pytest.raises(NoSuchBot) as caught:
        load_bot(target)
    assert told in str(caught.value)


def test_what_a_module_itself_cannot_import_comes_out(folder: Path) -> None:
    """It is the author's error, not a wrong name."""
    (folder / "hungry_bot.py").write_text("import no_such_module_of_mine", "utf-8")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_mine"):
        load_bot("hungry_bot")


def test_without_a_name_there_is_an_echo() -> None:
    assert load_bot(None).controls
