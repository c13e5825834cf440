"""What a server's sessions have done, as values that can be added up and written down.

Rules
1. Everything but ``sessions``, ``connections`` and what is queued only grows. Figures of several processes add up to
   those of all of them; of the largest pacing error the larger counts.
2. They are plain numbers under names, so that one process can tell them to another as JSON.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import attrs
from attrs import Factory, define, field, frozen

from .._documented import documented
from ..session.statistics import Statistics

BOUNDS_S: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Where people begin to feel another length of a pause."""


@documented
@final
@frozen
class Histogram:
    """How long something took, many times over."""

    counts: Sequence[int] = (0,) * (len(BOUNDS_S) + 1)
    """How often it was within each of ``BOUNDS_S`` and above the bound before; the last: how often above all."""
    sum_s: float = 0.0
    """Seconds, of all of them together."""

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def __add__(self, other: "Histogram") -> "Histogram":
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Histogram(counts, self.sum_s + other.sum_s)


@final
@define(eq=False)
class Durations:
    """Makes a histogram, one duration after the other."""

    _counts: list[int] = field(factory=lambda: [0] * (len(BOUNDS_S) + 1), init=False)
    _sum_s: float = field(default=0.0, init=False)

    def add(self, duration_s: float) -> None:
        self._counts[bisect_left(BOUNDS_S, duration_s)] += 1
        self._sum_s += duration_s

    def histogram(self) -> Histogram:
        return Histogram(tuple(self._counts), self._sum_s)


@documented
@final
@frozen(kw_only=True)
class ServerFigures:
    """A server at one moment."""

    sessions: int = 0
    """Calls at this moment."""
    sessions_begun: int = 0
    """Calls so far."""
    sessions_ended: Mapping[str, int] = Factory(dict)
    """Calls that are over, by who ended them: ``"local"``, ``"remote"``, ``"error"``."""
    reconnections_tried: int = 0
    """Attempts of a reconnecting client."""
    timeouts: Mapping[str, int] = Factory(dict)
    """Limits that were passed: ``"session"``, ``"idle"``."""
    connections: int = 0
    """Connections at this moment, as far as the server tells."""
    let_in: int = 0
    """Callers that were let in so far."""
    turned_away: Mapping[str, int] = Factory(dict)
    """Those that were not, by cause: what ``hosting.callers`` or a server's ``callers()`` says."""
    turn_latency: Histogram = Factory(Histogram)
    """From the user's last word to the bot's first audio."""
    totals: Statistics = Factory(Statistics)
    """The sums of what the sessions counted, those that are open included."""

    def to_json(self) -> dict[str, Any]:
        """As a document that ``of_json`` reads."""
        return attrs.asdict(self, value_serializer=lambda _instance, _field, value: _plain(value))

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> "ServerFigures":
        """What another process told."""
        told = dict(document)
        histogram = told.pop("turn_latency")
        latency = Histogram(tuple(histogram["counts"]), histogram["sum_s"])
        return cls(**{**told, "turn_latency": latency, "totals": Statistics(**told["totals"])})


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    return dict(value) if isinstance(value, Mapping) else value


def summed(statistics: Sequence[Statistics]) -> Statistics:
    """Add up what several sessions counted."""
    kinds: Counter[str] = Counter()
    for each in statistics:
        kinds.update(each.dropped_by_kind)
    sums = {
        name: sum(getattr(each, name) for each in statistics)
        for name in (each.name for each in attrs.fields(Statistics))
        if name not in ("dropped_by_kind", "pacing_error_max_s")
    }
    largest_s = max((each.pacing_error_max_s for each in statistics), default=0.0)
    return Statistics(**sums, pacing_error_max_s=largest_s, dropped_by_kind=dict(kinds))


def merged(figures: Sequence[ServerFigures]) -> ServerFigures:
    """Add up what several processes of one server counted."""
    ended: Counter[str] = Counter()
    timeouts: Counter[str] = Counter()
    turned_away: Counter[str] = Counter()
    for each in figures:
        turned_away.update(each.turned_away)
        ended.update(each.sessions_ended)
        timeouts.update(each.timeouts)
    return ServerFigures(
        sessions=sum(each.sessions for each in figures),
        sessions_begun=sum(each.sessions_begun for each in figures),
        sessions_ended=dict(ended),
        reconnections_tried=sum(each.reconnections_tried for each in figures),
        timeouts=dict(timeouts),
        connections=sum(each.connections for each in figures),
        let_in=sum(each.let_in for each in figures),
        turned_away=dict(turned_away),
        turn_latency=sum((each.turn_latency for each in figures), Histogram()),
        totals=summed([each.totals for each in figures]),
    )
