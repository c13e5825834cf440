"""What this library promises of its speed, one row for each, and whether a run of the suite shows it.

Rules
1. A promise is a metric of one of our peers: by itself, or as a multiple of another peer's in the same run.
2. A row that a run was to measure and did not has no figure, and says why where the run knows. A promise is then not
   held: nothing was shown. Scenarios that were not gone through have no rows.
"""

from collections.abc import Iterator
from typing import final

from attrs import field, frozen

from .catalogue import BASELINE
from .results import Measurement, Results
from .scenarios.echo import TOGETHER
from .summary import number, ratio
from .tables import Table

BARE = "trio-websocket"
DEFAULT, DIRECT, ASGI = OURS = ("ours-server", "ours-direct", "ours-asgi")


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

    def shown(self, value: float) -> str:
        return f"{number(value)}x" if self.base else f"{number(value)} {self.unit}"


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


def _echo(peer: str, base: str, limit: float, case: str = "") -> Promise:
    when = "arriving together" if case else "arriving at random"
    beside = ", beside the bare engine" if base == BARE else ""
    return Promise(
        what=f"CPU per echoed frame, 50 sessions {when}{beside}: {peer}",
        peer=peer,
        scenario="echo",
        metric="server CPU per frame",
        sessions=50,
        case=case,
        base=base,
        limit=limit,
    )


def _capacity(peer: str, limit: float) -> Promise:
    return Promise(
        what=f"sessions held by one process: {peer}",
        peer=peer,
        scenario="capacity",
        metric="sessions held",
        base=BASELINE,
        limit=limit,
        at_least=True,
    )


def _pacing(peer: str, metric: str, limit: float, *, sessions: int = 60, base: str | None = BASELINE) -> Promise:
    words = {"server CPU per chunk": "CPU per played chunk", "rate error, worst session": "the worst session's rate"}
    return Promise(
        what=f"pacing, {sessions} sessions, {words.get(metric, metric)}: {peer}",
        peer=peer,
        scenario="pacing",
        metric=metric,
        sessions=sessions,
        base=base,
        limit=limit,
        unit="" if base else "ppm",
    )


def _memory(peer: str, limit: float) -> Promise:
    return Promise(
        what=f"memory per idle session: {peer}",
        peer=peer,
        scenario="memory",
        metric="idle session",
        base=BASELINE,
        limit=limit,
    )


def _calls(peer: str, limit: float) -> Promise:
    return Promise(
        what=f"connect, first frame, close: {peer}",
        peer=peer,
        scenario="churn",
        metric="calls per second",
        case="8 callers at once",
        base=BASELINE,
        limit=limit,
        at_least=True,
    )


def _stall(peer: str) -> Promise:
    return Promise(
        what=f"echo latency 1 s after a hole of 300 ms, above that before it: {peer}",
        peer=peer,
        scenario="stall",
        metric="later than before",
        limit=10,
        unit="ms",
    )


def _interruption(peer: str) -> Promise:
    return Promise(
        what=f"interruption to the last byte, p99: {peer}",
        peer=peer,
        scenario="interruption",
        metric="last byte after, p99",
        limit=20,
        unit="ms",
    )


def _hostile(peer: str) -> tuple[Promise, ...]:
    return tuple(
        Promise(
            what=f"{what}: {peer}",
            peer=peer,
            scenario="hostile",
            metric=metric,
            case="the worst flood",
            limit=limit,
            unit=unit,
        )
        for what, metric, limit, unit in (
            ("memory one hostile peer can take", "memory taken", 64, "MiB"),
            ("loop blocked by one message", "longest step", 10, "ms"),
        )
    )


_UNUSED = Promise(
    what=f"observing that is not used, CPU per echoed frame beside no place for it: {DIRECT}",
    peer=DIRECT,
    scenario="echo",
    metric="server CPU per frame",
    sessions=50,
    base="ours-untapped",
    limit=1.03,
)
_BUS = Promise(
    what="bus: job round trips per second through a proxy pair",
    peer="ours-bus",
    scenario="bus",
    metric="job round trips",
    case="one at a time",
    base="pipecat-bus",
    limit=3,
    at_least=True,
)
_BUS_CPU = Promise(
    what="bus: CPU per message through a proxy pair",
    peer="ours-bus",
    scenario="bus",
    metric="CPU per message",
    case="20 ms of audio, one way",
    base="pipecat-bus",
    limit=0.4,
)
_IMPORTS = tuple(
    Promise(
        what=f"{what}, CPU",
        peer=peer,
        scenario="import",
        metric="CPU",
        base="parts-import",
        limit=1.3,
    )
    for what, peer in (("import trio_transports", "ours-import"), ("import what a server needs", "ours-first-server"))
)
PROMISES = (
    *(_echo(peer, BASELINE, limit) for peer, limit in zip(OURS, (0.55, 0.35, 0.60), strict=True)),
    *(_echo(peer, BASELINE, limit, TOGETHER) for peer, limit in zip(OURS, (0.42, 0.28, 0.50), strict=True)),
    _echo(DIRECT, BARE, 0.65),
    _echo(DEFAULT, BARE, 1.1),
    _echo("ours-functions", BARE, 0.55),
    _UNUSED,
    *(_capacity(peer, limit) for peer, limit in zip(OURS, (2.5, 5, 3.5), strict=True)),
    *(_pacing(peer, "server CPU per chunk", limit) for peer, limit in zip(OURS, (0.5, 0.35, 0.55), strict=True)),
    *(
        _pacing(peer, "rate error, worst session", 50, sessions=sessions, base=None)
        for sessions in (60, 200)
        for peer in OURS
    ),
    *(_pacing(peer, "gap error p99", 0.3) for peer in OURS),
    *(_stall(peer) for peer in OURS),
    *(_memory(peer, limit) for peer, limit in zip(OURS, (0.2, 0.15, 0.22), strict=True)),
    *(_calls(peer, limit) for peer, limit in zip(OURS, (4, 6, 3.5), strict=True)),
    _BUS,
    _BUS_CPU,
    *_IMPORTS,
    *(promise for peer in OURS for promise in _hostile(peer)),
    *(_interruption(peer) for peer in OURS),
)
DIALECTS_LIMIT = 0.4
"""Encode and decode of 20 ms of audio, of Pipecat's, in each dialect."""
FIGURES = (
    "CPU per echoed frame, 50 sessions arriving at random: ours-direct",
    "pacing, 60 sessions, the worst session's rate: ours-direct",
    "memory per idle session: ours-direct",
    "connect, first frame, close: ours-direct",
    "interruption to the last byte, p99: ours-direct",
)
"""The rows that one chooses by: the README shows these."""


def _dialects(results: Results) -> Iterator[tuple[str, ...]]:
    """Encode + decode of an audio frame, ours to Pipecat's, of each dialect that both were measured in."""
    sums: dict[tuple[str, str], dict[str, float]] = {}
    for one in results.figures:
        words = one.name.split()
        if len(words) == 3 and words[1] in ("encode", "decode") and words[2] == "audio":
            sums.setdefault((words[0], one.peer), {})[words[1]] = one.value
    whole = {key: sum(parts.values()) for key, parts in sums.items() if len(parts) == 2}
    for (dialect, peer), value in whole.items():
        if peer == "ours" and (dialect, "pipecat") in whole:
            times = value / whole[dialect, "pipecat"]
            held = "yes" if times <= DIALECTS_LIMIT else "NO"
            yield f"{dialect}: encode + decode", f"at most {DIALECTS_LIMIT}x pipecat", f"{number(times)}x", held


def _why_missing(results: Results, promise: Promise) -> str:
    """What the run says of a figure that is not there."""
    told = [
        f"{peer}: {why}"
        for peer, scenario, why in (
            *((one.peer, one.scenario, one.what) for one in results.wrong),
            *((one.peer, one.scenario, one.why) for one in results.skipped),
        )
        if scenario == promise.scenario and peer in (promise.peer, promise.base)
    ]
    return f"not measured ({told[0]})" if told else "not measured"


def promise_table(results: Results) -> Table | None:
    """The promises that this run was to judge, each with what was measured; rule 2."""
    rows: list[tuple[str, ...]] = []
    for promise in PROMISES:
        value = promise.measured(results)
        if value is not None:
            held = "yes" if promise.holds(value) else "NO"
            rows.append((promise.what, promise.wanted, promise.shown(value), held))
        elif promise.scenario in results.scenarios and not results.quick:
            rows.append((promise.what, promise.wanted, _why_missing(results, promise), "NO"))
    rows += _dialects(results)
    if not rows:
        return None
    return Table(title="targets", columns=("what", "promised", "measured", "held"), rows=tuple(rows))
