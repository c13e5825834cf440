"""What a package re-exports, imported when it is first named (PEP 562): a program loads only what it uses.

Rules
1. A package writes its names three times: as imports under ``TYPE_CHECKING``, which type checkers and editors read, in
   ``__all__``, and as the ``homes`` of ``lazily``, which Python reads. ``tests/foundation/test_lazy.py`` holds them
   equal, and that no name is one of the package's modules too: importing that would put it in the name's place.
2. A name that was found stays in the package: the second time costs what a name costs.
3. Threads may meet here: one at a time loads what a name needs. Left to the import system, two threads that come from
   both ends of a circle of modules (a package and what it loads) find each other's half done, and one of them fails.
   So no module that is loaded for a name may name one of these while it is loaded: a thread that loads it by its path
   would wait for the lock here, and who has that for the module.
4. A module of the package is found by its name as well, as it was when the package loaded its modules at once.
"""

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from threading import RLock
from typing import Any, Final

_NOT_LISTED: Final = frozenset({"TYPE_CHECKING", "lazily"})
_loading = RLock()


def _begin_anew() -> None:
    """In a forked child, where the thread that had the lock is not."""
    global _loading
    _loading = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def lazily(
    package: str, homes: Mapping[str, str], *, explained_by: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make ``__getattr__`` and ``__dir__`` of a package.

    ``homes`` has for each module, as ``import_module`` takes it, the names that it gives, with spaces between.
    ``explained_by`` is a module whose ``explain_import`` raises what answers for a name that there is not.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}

    def find(name: str) -> Any:  # noqa: ANN401 - whatever has that name
        home = home_of.get(name)
        if home is not None:
            with _loading:
                value = getattr(import_module(home, package), name)
            setattr(sys.modules[package], name, value)
            return value
        if name.isidentifier() and not name.startswith("_") and find_spec(f"{package}.{name}") is not None:
            return import_module(f"{package}.{name}")
        if explained_by:
            import_module(explained_by, package).explain_import(name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of} - _NOT_LISTED)

    return find, names
