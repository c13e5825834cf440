"""What was promised about queued audio: whether it was written, as ``write_audio`` tells.

Rules
1. A promise covers the audio of one push. It is kept once its last byte is on the wire, and broken if any was dropped.
2. Nothing can be promised of audio of which some was left out.
"""

from collections.abc import Callable
from typing import final

from attrs import define, field, frozen


@final
@frozen
class Promise:
    """A promise about the audio between two places."""

    begin: int
    end: int
    settle: Callable[[bool], None]


@final
@define(eq=False)
class Receipts:
    """Owned by one queue."""

    waiting: list[Promise] = field(factory=list, init=False)
    cut_until: int = field(default=-1, init=False)
    """Where what was pushed last ends, if some of it was left out; rule 2."""

    def keep(self, place: int) -> None:
        """All audio before this place is on the wire."""
        self._settle(place, kept=True)

    def break_until(self, place: int) -> None:
        """What was not kept up to this place cannot be any more."""
        self._settle(place, kept=False)

    def break_if(self, is_broken: Callable[[Promise], bool]) -> None:
        for receipt in [each for each in self.waiting if is_broken(each)]:
            self.waiting.remove(receipt)
            receipt.settle(False)

    def _settle(self, place: int, *, kept: bool) -> None:
        while self.waiting and self.waiting[0].end <= place:
            self.waiting.pop(0).settle(kept)
