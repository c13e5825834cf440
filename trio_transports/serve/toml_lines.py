"""On which line of a TOML file each key is set, for those who tell of a mistake in it."""

import re
from collections.abc import Collection
from typing import Final, TypeAlias, final

from attrs import define, field

Key: TypeAlias = tuple[str, ...]
"""A key, and the table that it is in before it."""

_PART: Final = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_DOTTED: Final = rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*"
_SETS: Final = re.compile(rf"{_DOTTED}=")
_BEGINS: Final = re.compile(rf"\s*\[{_DOTTED}\]")


@final
@define(eq=False)
class Lines:
    """Those of one file that has been read as TOML without a mistake."""

    text: str
    _found: dict[Key, int] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        table: Key = ()
        for number, line in enumerate(self.text.splitlines(), 1):
            if begins := _BEGINS.match(line):
                table = key = _parts(begins[1])
            elif sets := _SETS.match(line):
                key = (*table, *_parts(sets[1]))
            else:
                continue
            for length in range(1, len(key) + 1):
                self._found.setdefault(key[:length], number)

    def of(self, keys: Collection[Key]) -> str:
        """Write ``", line 3"``, or ``", lines 2, 3 and 5"``; for no key nothing, since nothing is known."""
        *some, last = sorted({self._line(key) for key in keys}) or [0]
        if not last:
            return ""
        return f", lines {', '.join(map(str, some))} and {last}" if some else f", line {last}"

    def _line(self, key: Key) -> int:
        """A member of a table that is written in one line is where the table is."""
        return next((self._found[key[:length]] for length in range(len(key), 0, -1) if key[:length] in self._found), 1)


def _parts(dotted: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
