"""What chance decides along a stream: each fault draws for itself, and by the place in the stream.

So it is the same again with the same seed and the same bytes, in whatever pieces they come, and whatever other faults
there are beside it.
"""

from random import Random
from typing import Final, final

from attrs import define, field

from .plan import Corrupt, Delay, Split

SEGMENT_BYTES: Final = 256
"""For so many bytes the jitter is the same."""


@final
@define(eq=False)
class Flips:
    """The bits that one ``Corrupt`` flips."""

    fault: Corrupt
    random: Random
    _next: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self.fault.after_bytes + self._distance()

    def strike(self, data: bytearray, start: int) -> int:
        """Flip what lies in ``data``, which begins at that place of the stream; returns how many bits."""
        struck = 0
        while (place := int(self._next) - start) < len(data):
            data[place] ^= 1 << self.random.randrange(8)
            struck += 1
            self._next = max(self._next + 1, self._next + self._distance())
        return struck

    def _distance(self) -> float:
        return self.random.expovariate(1 / self.fault.every_bytes)


@final
@define(eq=False)
class Cuts:
    """The places at which one ``Split`` cuts."""

    fault: Split
    random: Random
    _next: int = field(default=0, init=False)

    def after(self, place: int) -> int:
        """The first cut behind this place."""
        while self._next <= place:
            self._next += self.random.randint(1, self.fault.max_bytes)
        return self._next


@final
@define(eq=False)
class Jitter:
    """How much later than its ``delay_s`` one ``Delay`` lets each segment of the stream arrive."""

    fault: Delay
    random: Random
    _segment: int = field(default=-1, init=False)
    _drawn: float = field(default=0.0, init=False)

    def late_s(self, place: int) -> float:
        """What it comes to, delay and all, at this place or a later one."""
        while self._segment < place // SEGMENT_BYTES:
            self._segment += 1
            self._drawn = self.random.random()
        return self.fault.delay_s + self.fault.jitter_s * self._drawn
