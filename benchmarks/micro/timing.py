"""Timing one small function: the best of several repeats, since noise on a shared machine only ever adds."""

from collections.abc import Callable
from timeit import Timer
from typing import final

from attrs import frozen


@final
@frozen(kw_only=True)
class Figure:
    """One measured number. ``group`` and ``name`` say what; ``peer`` whose; ``baseline`` marks the ratio's divisor."""

    group: str
    name: str
    peer: str
    value: float
    unit: str = "us"
    baseline: bool = False


def microseconds(function: Callable[[], object], *, quick: bool = False) -> float:
    """Microseconds per call: the fastest of five repeats (two when quick) of about 20 ms (5 ms) each."""
    timer = Timer(function)
    budget_s = 0.005 if quick else 0.02
    number, took_s = 1, timer.timeit(1)
    while took_s < budget_s and number < 10_000_000:
        number = max(number * 2, int(number * budget_s / took_s)) if took_s > 0 else number * 10
        took_s = timer.timeit(number)
    return min(timer.repeat(repeat=2 if quick else 5, number=number)) / number * 1e6
