"""Two level meters on one line of a terminal, drawn over themselves ten times a second."""

import shutil
import sys
from math import log10
from typing import Final, TextIO, final

import numpy as np
import trio
from attrs import define, field

FLOOR_DB: Final = -60.0
_INTERVAL_S: Final = 0.1
_FALL_DB: Final = 3.0
"""A level falls by this much for each drawing, so that short words can be seen."""

_RESET: Final = "\x1b[0m"
_COLOURS: Final = ((-6.0, "\x1b[31m"), (-18.0, "\x1b[33m"), (FLOOR_DB, "\x1b[32m"))


def level_db(pcm: bytes) -> float:
    """Root mean square in decibels below full scale, ``FLOOR_DB`` at least."""
    if not pcm:
        return FLOOR_DB
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    rms = float(np.sqrt(np.mean(samples * samples)))
    return max(FLOOR_DB, 20 * log10(rms / 32768)) if rms else FLOOR_DB


@final
@define(eq=False)
class Meters:
    """Draws only where somebody can see it: on a terminal."""

    out: TextIO = field(factory=lambda: sys.stderr)
    is_on: bool = True
    colours: bool = True
    status: str = ""
    _levels: dict[str, float] = field(factory=lambda: {"you": FLOOR_DB, "peer": FLOOR_DB}, init=False)

    def hear(self, who: str, pcm: bytes) -> None:
        if self.is_on:
            self._levels[who] = max(self._levels[who], level_db(pcm))

    async def run(self) -> None:
        """Draw until cancelled, then leave the line empty."""
        if not self.is_on:
            return
        try:
            while True:
                columns = shutil.get_terminal_size().columns
                self.out.write(f"\r{self.line(columns)}\x1b[K")
                self.out.flush()
                for who, level in self._levels.items():
                    self._levels[who] = max(FLOOR_DB, level - _FALL_DB)
                await trio.sleep(_INTERVAL_S)
        finally:
            self.out.write("\r\x1b[K")
            self.out.flush()

    def line(self, columns: int) -> str:
        width = max(4, (columns - len(self.status) - 34) // 2)
        parts = (f"{who} {self._bar(level, width)} {level:4.0f} dB" for who, level in self._levels.items())
        return "  ".join((*parts, self.status))

    def _bar(self, level: float, width: int) -> str:
        full, empty = ("█", "·") if _can_say(self.out, "█·") else ("#", ".")
        lit = round((level - FLOOR_DB) / -FLOOR_DB * width)
        if not self.colours:
            return full * lit + empty * (width - lit)
        colour = next(code for least, code in _COLOURS if level >= least)
        return f"{colour}{full * lit}{_RESET}{empty * (width - lit)}"


def _can_say(out: TextIO, text: str) -> bool:
    try:
        text.encode(out.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
