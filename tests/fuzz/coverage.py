"""Which lines of the library an input reaches, and how many it takes: a guide and a measure of work in one.

``sys.settrace`` sees the lines of this package alone, so that what others do in between costs nothing. It counts
lines, not seconds: how much work an input makes does not depend on how busy the machine is.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, final

from attrs import define, field

import trio_transports

_PACKAGE: Final = str(Path(trio_transports.__file__).parent)


@final
@define(eq=False)
class Coverage:
    """Of one input after the other."""

    seen: set[tuple[CodeType, int]] = field(factory=set, init=False)
    """Every line that any input has reached."""
    lines: int = field(default=0, init=False)
    """How many lines the last input took, each as often as it ran."""
    _new: set[tuple[CodeType, int]] = field(factory=set, init=False)

    def watch(self, feed: Callable[[bytes], None], data: bytes) -> int:
        """Feed it; returns how many lines nothing had reached before."""
        self.lines, self._new = 0, set()
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            feed(data)
        finally:
            sys.settrace(before)
        new = self._new - self.seen
        self.seen |= new
        return len(new)

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Any:  # noqa: ANN401 - typeshed's own
        return self._line if frame.f_code.co_filename.startswith(_PACKAGE) else None

    def _line(self, frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 - typeshed's own
        if event == "line":
            self.lines += 1
            self._new.add((frame.f_code, frame.f_lineno))
        return self._line
