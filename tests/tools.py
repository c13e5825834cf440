"""Outside programs and modules that some tests need: found, or the test says what is missing.

Where something is missing the test is skipped with its name; with ``CI=true`` it fails, for there everything was to be
installed. A test calls these first, or a fixture does.
"""

import os
import shutil
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def missing(what: str, how: str) -> NoReturn:
    """Skip the test for want of ``what``; ``how`` says where it comes from."""
    message = f"{what} is missing: {how}"
    if in_ci():
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def requires(*names: str) -> Path:
    """Find the first of these programs that is installed: ``requires("chromium", "google-chrome")``."""
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    missing(" or ".join(names), "install that program")


def requires_module(name: str, *, extra: str) -> ModuleType:
    """Import a module that one of the extras brings."""
    try:
        return import_module(name)
    except ImportError:
        missing(f"the module {name}", f"pip install 'trio-transports[{extra}]'")


def pipecat_python() -> Path:
    """A Python that has the real pipecat-ai: in an environment of its own, whose needs are not ours."""
    named = os.environ.get("TT_PIPECAT_PYTHON")
    if not named:
        missing("a Python with pipecat-ai", "set TT_PIPECAT_PYTHON to one that has pipecat-ai[websocket]==1.14.0")
    path = Path(named)
    if not path.is_file():
        pytest.fail(f"TT_PIPECAT_PYTHON names no file: {named}", pytrace=False)
    return path
