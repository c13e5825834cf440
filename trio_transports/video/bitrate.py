"""Quality that follows a bitrate: how strongly to compress the next picture, from what the last ones cost.

Rules
1. Each picture earns its share of the bitrate, ``bitrate / framerate`` bits. What one took beyond it is owed.
2. Too large a picture lowers the quality at once, in proportion; quality returns by single steps, and only while
   nothing is owed. So the rate is held from above, and one busy picture does not make the next ones flicker.
3. At ``MIN_QUALITY`` the pictures cost what they cost: pictures are never left out for it.
"""

from typing import Final, final

from attrs import define, field

MIN_QUALITY: Final = 5
MAX_QUALITY: Final = 95


@final
@define(eq=False)
class BitrateControl:
    """Chooses the quality of one track's pictures."""

    bitrate: int
    framerate: int
    quality: int = 80
    _owed_bytes: float = field(default=0.0, init=False)

    @property
    def budget_bytes(self) -> float:
        """How much one picture may take."""
        return self.bitrate / 8 / self.framerate

    def encoded(self, taken_bytes: int) -> int:
        """Take note of what a picture took; the quality for the next one."""
        budget = self.budget_bytes
        self._owed_bytes = max(0.0, self._owed_bytes + taken_bytes - budget)
        # What is owed is paid back over the next half second, so the coming pictures have less to spend.
        affordable = max(budget / 4, budget - self._owed_bytes / max(1, self.framerate / 2))
        if taken_bytes > affordable:
            self.quality = max(
                MIN_QUALITY, min(self.quality - 1, round(self.quality * (affordable / taken_bytes) ** 0.5))
            )
        elif not self._owed_bytes and taken_bytes < 0.9 * budget:
            self.quality = min(MAX_QUALITY, self.quality + 1)
        return self.quality
