"""What this library promises of its speed, and whether a run of the suite shows it."""

from typing import final

from attrs import field, frozen

from .catalogue import BASELINE
from .results import Measurement, Results
from .summary import number, ratio
from .tables import Table


@final
@frozen(kw_only=True)
class Promise:
    """``metric`` of ``peer``, as a multiple of ``base``'s or by itself where there is none, against a limit."""

    what: str
    peer: str
    scenario: str
    metric: str
    sessions: int | None = None
    case: str = ""
    base: str | None = None
    limit: float = field()
    at_least: bool = False
    unit: str = ""

    def measured(self, results: Results) -> float | None:
        mine = _find(results, self, self.peer)
        if mine is None:
            return None
        if self.base is None:
            return mine.middle
        under = _find(results, self, self.base)
        times = ratio(mine.values, under.values) if under else None
        return times.middle if times else None

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    @property
    def wanted(self) -> str:
        bound = "at least" if self.at_least else "at most"
        return (
            f"{bound} {number(self.limit)}x {self.base}" if self.base else f"{bound} {number(self.limit)} {self.unit}"
        )


def _find(results: Results, promise: Promise, peer: str) -> Measurement | None:
    return next(
        (
            measurement
            for measurement in results.of(promise.scenario, promise.metric)
            if measurement.peer == peer
            and measurement.case == promise.case
            and promise.sessions in (None, measurement.sessions)
        ),
        None,
    )


def _echo(peer: str, base: str, limit: float, case: str) -> Promise:
    when = "arriving together" if case else "arriving at random"
    return Promise(
        what=f"CPU per echoed frame, 50 sessions {when}: {peer}",
        peer=peer,
        scenario="echo",
        metric="server CPU per frame",
        sessions=50,
        case=case,
        base=base,
        limit=limit,
    )


def _promises(peer: str) -> tuple[Promise, ...]:
    return (
        Promise(
            what=f"pacing, 60 sessions, the worst session's rate: {peer}",
            peer=peer,
            scenario="pacing",
            metric="rate error, worst session",
            sessions=60,
            limit=100,
            unit="ppm",
        ),
        Promise(
            what=f"pacing, 60 sessions, gap error p99: {peer}",
            peer=peer,
            scenario="pacing",
            metric="gap error p99",
            sessions=60,
            base=BASELINE,
            limit=0.5,
        ),
        Promise(
            what=f"memory per idle session: {peer}",
            peer=peer,
            scenario="memory",
            metric="idle session",
            base=BASELINE,
            limit=0.5,
        ),
        Promise(
            what=f"connect, first frame, close: {peer}",
            peer=peer,
            scenario="churn",
            metric="calls per second",
            case="8 callers at once",
            base=BASELINE,
            limit=2,
            at_least=True,
        ),
        Promise(
            what=f"interruption to the last byte, p99: {peer}",
            peer=peer,
            scenario="interruption",
            metric="last byte after, p99",
            limit=20,
            unit="ms",
        ),
    )


TOGETHER = "all at one moment"
PROMISES = (
    *(
        _echo("ours-server", base, limit, case)
        for case in ("", TOGETHER)
        for base, limit in ((BASELINE, 0.5), ("trio-websocket", 1.5))
    ),
    *(
        _echo("ours-direct", base, limit, case)
        for case in ("", TOGETHER)
        for base, limit in ((BASELINE, 0.33), ("trio-websocket", 1.0))
    ),
    Promise(
        what="bus: job round trips through a proxy pair",
        peer="ours-bus",
        scenario="bus",
        metric="job round trips",
        case="one at a time",
        base="pipecat-bus",
        limit=3,
        at_least=True,
    ),
    Promise(
        what="bus: CPU per message through a proxy pair",
        peer="ours-bus",
        scenario="bus",
        metric="CPU per message",
        case="20 ms of audio, one way",
        base="pipecat-bus",
        limit=0.4,
    ),
    *_promises("ours-server"),
    *_promises("ours-direct"),
    *_promises("ours-asgi"),
)


def _dialects(results: Results) -> list[tuple[str, float, float]]:
    """Encode + decode of an audio frame, ours and Pipecat's, of each dialect that both were measured in."""
    sums: dict[tuple[str, str], dict[str, float]] = {}
    for one in results.figures:
        words = one.name.split()
        if len(words) == 3 and words[1] in ("encode", "decode") and words[2] == "audio":
            sums.setdefault((words[0], one.peer), {})[words[1]] = one.value
    whole = {key: sum(parts.values()) for key, parts in sums.items() if len(parts) == 2}
    return [
        (dialect, value, whole[dialect, "pipecat"])
        for (dialect, peer), value in whole.items()
        if peer == "ours" and (dialect, "pipecat") in whole
    ]


def promise_table(results: Results) -> Table | None:
    """The promises that this run can judge, each with what was measured."""
    rows = []
    for promise in PROMISES:
        value = promise.measured(results)
        if value is not None:
            shown = f"{number(value)}x" if promise.base else f"{number(value)} {promise.unit}"
            rows.append((promise.what, promise.wanted, shown, "yes" if promise.holds(value) else "NO"))
    for dialect, mine, theirs in _dialects(results):
        times = mine / theirs
        wanted = "at most 0.5x pipecat"
        rows.append((f"{dialect}: encode + decode", wanted, f"{number(times)}x", "yes" if times <= 0.5 else "NO"))
    if not rows:
        return None
    return Table(title="what is promised", columns=("what", "promised", "measured", "held"), rows=tuple(rows))
