"""How regularly audio arrived, and other sums over durations."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import final

from attrs import define, field


@final
@define
class Arrivals:
    """Jitter is RFC 3550's: the mean deviation of the gaps from what they should have been, smoothed by 16."""

    count: int = 0
    audio_s: float = 0.0
    first_at_s: float | None = None
    last_at_s: float | None = None
    jitter_s: float = 0.0
    _last_duration_s: float = field(default=0.0, init=False)

    def add(self, at_s: float, duration_s: float, *, pause_s: float = 0.2) -> None:
        """Note one frame. After ``pause_s`` more than its turn it begins anew: a pause is not jitter."""
        if self.last_at_s is None:
            self.first_at_s = at_s
        else:
            late_s = at_s - self.last_at_s - self._last_duration_s
            if late_s < pause_s:
                self.jitter_s += (abs(late_s) - self.jitter_s) / 16
        self.count += 1
        self.audio_s += duration_s
        self.last_at_s, self._last_duration_s = at_s, duration_s


def in_ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def spread_ms(durations_s: Sequence[float]) -> dict[str, float]:
    """Least, median, 95th percentile and most, and the mean difference of neighbours as jitter."""
    ordered = sorted(durations_s)
    steps = [abs(later - earlier) for earlier, later in pairwise(durations_s)]
    return {
        "least_ms": in_ms(ordered[0]),
        "median_ms": in_ms(median(ordered)),
        "p95_ms": in_ms(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]),
        "most_ms": in_ms(ordered[-1]),
        "jitter_ms": in_ms(sum(steps) / len(steps)) if steps else 0.0,
    }
