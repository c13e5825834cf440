"""A plugin of pytest: which tests call which functions of the package, and how long each takes.

``PYTHONPATH=.ci python -m pytest -p reached --reached reached.json -p no:xdist tests/session``: what it writes is for
``mutate.py --reached``.
"""

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

import pytest

PACKAGE = str(Path(__file__).resolve().parents[1] / "trio_transports")


class Reached:
    """Writes down, test by test, the functions that are called."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._called: set[CodeType] = set()
        self._tests: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self._called.add(frame.f_code)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Watch the test, and what prepares it."""
        self._called.clear()
        started_s = time.monotonic()
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            took_s = time.monotonic() - started_s
            for code in self._called:
                if code.co_filename.startswith(PACKAGE):
                    name = code.co_qualname.replace(".<locals>", "")
                    path = Path(code.co_filename).relative_to(Path(PACKAGE).parent)
                    self._tests[f"{path}:{name}"].append((took_s, item.nodeid))

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write all of it; nothing where a test fails, for it could tell nothing of a mutant."""
        if exitstatus != 0:
            return
        self._file.write_text(json.dumps({name: sorted(tests) for name, tests in self._tests.items()}))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where to."""
    parser.addoption("--reached", type=Path, help="a file for the tests that call each function")


def pytest_configure(config: pytest.Config) -> None:
    """Begin."""
    if file := config.getoption("--reached"):
        config.pluginmanager.register(Reached(file))
