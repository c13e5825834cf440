"""The bot that the command line names: ``MODULE:HANDLER``, ``bot.py``, or none for the one that is built in.

Rules
1. ``MODULE`` is imported as Python does, with the current folder first in its path; ``bot.py`` is the module ``bot`` of
   the file's own folder.
2. ``HANDLER`` is an async function that takes a session; without it, it is called ``bot``. A pipeline will do too.
3. What is wrong is told in a line: no such module, no such name, no such function. What the module itself raises comes
   out with its traceback, which is the author's to read.
"""

import inspect
import sys
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from ..demo.app import CONTROLS, LEDE, TITLE
from ..demo.bot import EchoBot
from ..errors import TransportError
from ..pipeline import Pipeline
from ..playground.routes import Handler
from ..session.session import Session
from .app import Bot

USUAL: Final = "bot"


class NoSuchBot(TransportError):
    """What the command line names is not there, or is no handler."""


def load_bot(target: str | None) -> Bot:
    """Import it, or raise NoSuchBot."""
    if target is None:
        return Bot(
            handler=_echo,
            name="the built-in echo bot",
            title=TITLE,
            lede=LEDE,
            controls=CONTROLS,
            interrupts_itself=True,
        )
    module_name, _, name = target.partition(":")
    module = _module(module_name)
    found: Any = module
    for part in (name or USUAL).split("."):
        if not hasattr(found, part):
            raise NoSuchBot(f"{module_name} has no {name or USUAL!r}{_hint(name, module)}")
        found = getattr(found, part)
    return Bot(handler=_handler(found, f"{module_name}:{name or USUAL}"), name=f"{module_name}:{name or USUAL}")


async def _echo(session: Session) -> None:
    await EchoBot(session).run()


def _module(name: str) -> Any:  # noqa: ANN401 - a module of anybody's
    if name.endswith(".py"):
        file = Path(name).resolve()
        if not file.is_file():
            raise NoSuchBot(f"there is no file {name}")
        sys.path.insert(0, str(file.parent))
        return _of_file(file)
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return import_module(name)
    except TypeError as exc:
        if not name.startswith("."):
            raise
        raise NoSuchBot(
            f"{name!r} is relative: name the module from the current folder, such as bots.first:bot"
        ) from exc
    except ModuleNotFoundError as exc:
        if exc.name is not None and (name == exc.name or name.startswith(f"{exc.name}.")):
            raise NoSuchBot(f"there is no module {exc.name!r} in {Path.cwd()} or elsewhere on Python's path") from exc
        raise
    except ValueError as exc:
        raise NoSuchBot(f"{name!r} is not MODULE:HANDLER, such as bot:bot or bot.py") from exc


def _of_file(file: Path) -> Any:  # noqa: ANN401 - a module of anybody's
    if "." in file.stem:
        raise NoSuchBot(f"{file.name} cannot be imported: give it a name without a dot before .py, such as my_bot.py")
    module = import_module(file.stem)
    if Path(getattr(module, "__file__", None) or "").resolve() != file:
        raise NoSuchBot(f"Python has a module {file.stem!r} already, which is not {file}: give the file another name")
    return module


def _handler(found: object, name: str) -> Handler:
    if isinstance(found, Pipeline):
        return partial(_through, found)
    if isinstance(found, type):
        raise NoSuchBot(f"{name} is a class: name an async function that takes a session")
    if not callable(found):
        raise NoSuchBot(f"{name} is no function that takes a session")
    if inspect.isasyncgenfunction(found):
        raise NoSuchBot(f"{name} yields: send with session.output, and yield nothing")
    if not _is_async(found):
        raise NoSuchBot(f"{name} is not async: write 'async def' before it")
    try:
        inspect.signature(found).bind(object())
    except TypeError as exc:
        raise NoSuchBot(f"{name} does not take one argument, the session: {exc}") from exc
    return found


async def _through(pipeline: Pipeline, session: Session) -> None:
    await pipeline.run(session.input, session.output)


def _is_async(found: Callable[..., object]) -> bool:
    inner = found.func if isinstance(found, partial) else found
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None))  # noqa: B004


def _hint(name: str, module: object) -> str:
    names = [each for each, value in vars(module).items() if inspect.iscoroutinefunction(value)]
    near = get_close_matches(name or USUAL, names, n=1) or names[:1]
    return f": did you mean {module.__name__}:{near[0]}?" if near else ""  # type: ignore[attr-defined]
