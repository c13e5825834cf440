"""What a set of measurements comes to: medians, spreads, and ratios between measurements made side by side.

Rules
1. The middle is the median: one disturbed repeat does not move it.
2. A ratio is taken within each round of repeats (A1/B1, A2/B2, ...), where both met the same machine, and then the
   median of those: a machine that slows down between rounds leaves it alone.
3. The spread of values is (highest - lowest) / median, in words of how far to trust the middle.
"""

from collections.abc import Sequence
from statistics import median
from typing import final

from attrs import frozen


@final
@frozen
class Ratio:
    """How many times ``base`` a measurement is: the median of its rounds, and the lowest and highest of them."""

    middle: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{number(self.middle)}x"


def spread(values: Sequence[float]) -> float:
    """(highest - lowest) / median; 0 for fewer than two values or a median of 0."""
    middle = median(values) if values else 0.0
    return (max(values) - min(values)) / abs(middle) if len(values) > 1 and middle else 0.0


def ratio(values: Sequence[float], base: Sequence[float]) -> Ratio | None:
    """The ratio of rounds measured side by side; None where there is no base to divide by."""
    rounds = [value / under for value, under in zip(values, base, strict=False) if under]
    return Ratio(median(rounds), min(rounds), max(rounds)) if rounds else None


def number(value: float) -> str:
    """A number as people write it: three digits that count, no exponent for everyday sizes."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-3:
        return f"{value:.1e}"
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 0.1:
        return f"{value:.2f}"
    return f"{value:.2g}"
