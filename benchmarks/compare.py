"""Two files of results side by side: what became cheaper, what dearer, and what is within the noise.

Rules
1. Figures of different runs are not from one machine state. So each is first divided by the same run's floor (a bare
   peer that is nobody's work here, measured in the same rounds), where both runs have it, and the ratios are compared.
2. A change smaller than the spreads of both sides is noise and says so.
"""

from statistics import median
from typing import final

from attrs import frozen

from .results import Measurement, Results
from .summary import number, ratio, spread
from .tables import Table, case_title

FLOOR = "trio-websocket"
LEAST = 0.05
"""A change below this share is never called one."""


@final
@frozen(kw_only=True)
class Change:
    before: Measurement
    after: Measurement
    factor: float
    against_floor: bool

    @property
    def noise(self) -> float:
        return max(LEAST, (spread(self.before.values) + spread(self.after.values)) / 2)

    @property
    def verdict(self) -> str:
        if abs(self.factor - 1) <= self.noise:
            return "same"
        if self.before.better == "neither":
            return "changed"
        return "better" if (self.factor < 1) == (self.before.better == "lower") else "worse"


def _relative(results: Results, measurement: Measurement) -> float | None:
    floor = results.find(measurement, FLOOR)
    times = ratio(measurement.values, floor.values) if floor else None
    return times.middle if times else None


def changes(before: Results, after: Results) -> list[Change]:
    """Every measurement that both runs have, in the order of the first."""
    found = []
    for old in before.measurements:
        new = after.find(old, old.peer)
        if new is None or not old.values or not new.values or not median(old.values):
            continue
        was, now = _relative(before, old), _relative(after, new)
        if old.peer != FLOOR and was and now:
            found.append(Change(before=old, after=new, factor=now / was, against_floor=True))
        else:
            found.append(Change(before=old, after=new, factor=new.middle / old.middle, against_floor=False))
    return found


def comparison_table(before: Results, after: Results) -> Table:
    rows = []
    for change in changes(before, after):
        old = change.before
        rows.append(
            (
                old.peer,
                f"{old.scenario} {case_title(old.sessions, old.case)}".strip(),
                old.metric,
                f"{number(change.factor)}x" + ("" if change.against_floor else " (absolute)"),
                change.verdict,
                f"{number(old.middle)} {old.unit}",
                f"{number(change.after.middle)} {old.unit}",
            )
        )
    return Table(
        title=f"after / before, each against {FLOOR} in its own run",
        columns=("peer", "where", "metric", "change", "verdict", "before", "after"),
        rows=tuple(rows),
    )
