"""One line on a terminal that says how far a long command is, and is gone when it has ended.

Rules
1. It is on standard error, and only where that is a terminal: what is piped or kept has no trace of it.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_CLEAR = "\x1b[K"


@contextmanager
def progress(out: TextIO | None = None) -> Iterator[Callable[[str], None]]:
    """Give what shows a line in the place of the one before."""
    stream = sys.stderr if out is None else out
    if not stream.isatty():
        yield lambda _: None
        return

    def show(text: str) -> None:
        stream.write(f"\r{text}{_CLEAR}")
        stream.flush()

    try:
        yield show
    finally:
        show("")
