"""Results as tables that know nothing of where they are shown: the terminal and the Markdown file print the same ones.

Rules
1. Ratios come first: the first column of figures says how many times Pipecat's a row is.
2. A figure is the median of its rounds, with the spread beside it where there was more than one.
3. What a peer does not do stands in its row: one that neither decodes nor paces does less and is a floor.
"""

from collections.abc import Iterable, Sequence
from typing import final

from attrs import frozen

from .catalogue import BASELINE, PEERS
from .micro.timing import Figure
from .results import Measurement, PeerFacts, Results
from .summary import number, ratio, spread

HEADLINES = {
    "echo": "server CPU per frame",
    "capacity": "sessions held",
    "pacing": "gap error p99",
    "interruption": "last byte after, p99",
    "churn": "calls per second",
    "memory": "idle session",
    "stall": "a second after a hole",
    "growth": "server CPU per frame",
    "serve": "calls per second",
    "import": "CPU",
    "hostile": "memory taken",
}
"""What the ratio of each scenario is taken of."""
BASELINES = {"bus": "pipecat-bus", "serve": "serve-1", "import": "parts-import", "hostile": "ours-server"}
"""What it is taken to, where that is another peer than ``BASELINE``."""


CURVE = "curve"
"""The case of a measurement that is a point of a plot; as ``search``, it is in no table."""


@final
@frozen(kw_only=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    ours: frozenset[int] = frozenset()
    """The rows to stress."""


def does(facts: PeerFacts | None) -> str:
    if facts is None:
        return ""
    return (
        " ".join(word for word, holds in (("decodes", facts.decodes), ("paces", facts.paces)) if holds) or "bytes only"
    )


def figure(measurement: Measurement | None) -> str:
    if measurement is None:
        return ""
    wide = spread(measurement.values)
    text = number(measurement.middle)
    return f"{text} ±{wide / 2:.0%}" if len(measurement.values) > 1 and measurement.middle else text


def _peer_order(results: Results) -> list[str]:
    known = [peer.name for peer in PEERS]
    found = {measurement.peer for measurement in results.measurements}
    return [name for name in known if name in found] + sorted(found - set(known))


def _cases(measurements: Iterable[Measurement]) -> list[tuple[int | None, str]]:
    return [*dict.fromkeys((measurement.sessions, measurement.case) for measurement in measurements)]


def case_title(sessions: int | None, case: str) -> str:
    words = [] if sessions is None else ["1 session" if sessions == 1 else f"{sessions} sessions"]
    return ", ".join(words + ([case] if case else []))


def scenario_tables(results: Results, scenario: str) -> list[Table]:
    """One table for each case of a scenario."""
    found = [measurement for measurement in results.of(scenario) if measurement.case not in ("search", CURVE)]
    return [_table(results, scenario, found, sessions, case) for sessions, case in _cases(found)]


def _table(results: Results, scenario: str, found: Sequence[Measurement], sessions: int | None, case: str) -> Table:
    here = [measurement for measurement in found if (measurement.sessions, measurement.case) == (sessions, case)]
    metrics = [*dict.fromkeys(measurement.metric for measurement in here)]
    metrics = [m for m in metrics if m != "silent chunks" or any(x.metric == m and any(x.values) for x in here)]
    units = {measurement.metric: measurement.unit for measurement in here}
    by_key = {(measurement.peer, measurement.metric): measurement for measurement in here}
    headline = HEADLINES.get(scenario, metrics[0])
    headline = headline if headline in metrics else metrics[0]
    baseline = BASELINES.get(scenario, BASELINE)
    base = by_key.get((baseline, headline))
    rows: list[tuple[str, ...]] = []
    ours: set[int] = set()
    for peer in _peer_order(results):
        if not any((peer, metric) in by_key for metric in metrics):
            continue
        facts = results.peers.get(peer)
        if facts and facts.ours:
            ours.add(len(rows))
        mine = by_key.get((peer, headline))
        times = ratio(mine.values, base.values) if mine and base else None
        cells = [figure(by_key.get((peer, metric))) for metric in metrics]
        rows.append((peer, does(facts), str(times) if times else "", *cells))
    where = case_title(sessions, case)
    return Table(
        title=f"{scenario}: {where}" if where else scenario,
        columns=("peer", "does", f"{headline} / {baseline}", *(f"{metric} ({units[metric]})" for metric in metrics)),
        rows=tuple(rows),
        ours=frozenset(ours),
    )


def figure_table(figures: Sequence[Figure], group: str) -> Table:
    """The microbenchmarks of a group: a row for each thing measured, a column for each peer, and the ratio."""
    here = [one for one in figures if one.group == group]
    peers = [*dict.fromkeys(one.peer for one in here)]
    rows = []
    for name in dict.fromkeys(one.name for one in here):
        of_name = {one.peer: one for one in here if one.name == name}
        base = next((one for one in of_name.values() if one.baseline), None)
        first = next((one for one in of_name.values() if not one.baseline), None)
        times = f"{number(first.value / base.value)}x" if base and first and base.value else ""
        cells = [f"{number(of_name[peer].value)} {of_name[peer].unit}" if peer in of_name else "" for peer in peers]
        rows.append((name, times, *cells))
    return Table(title=f"micro: {group}", columns=("what", "ratio", *peers), rows=tuple(rows))


def all_tables(results: Results) -> list[Table]:
    tables = [
        table
        for scenario in dict.fromkeys(measurement.scenario for measurement in results.measurements)
        for table in scenario_tables(results, scenario)
    ]
    groups = dict.fromkeys(one.group for one in results.figures)
    return tables + [figure_table(results.figures, group) for group in groups]


def trouble_tables(results: Results) -> list[Table]:
    """What was wrong and what was not measured: shown after the figures, never left out."""
    tables = []
    if results.wrong:
        rows = tuple(
            (one.peer, f"{one.scenario} {case_title(one.sessions, '')}".strip(), one.what) for one in results.wrong
        )
        tables.append(Table(title="WRONG: reported, not timed", columns=("peer", "where", "what"), rows=rows))
    if results.unfinished:
        rows = tuple(("", scenario, "the run was cut short") for scenario in results.unfinished)
        tables.append(Table(title="not gone through", columns=("peer", "where", "why"), rows=rows))
    if results.skipped:
        rows = tuple((one.peer, one.scenario, one.why) for one in results.skipped)
        tables.append(Table(title="not measured", columns=("peer", "where", "why"), rows=rows))
    return tables


def noise_table(results: Results) -> Table | None:
    """What the machine did to each scenario; None where nothing was counted."""
    rows = [
        (
            scenario,
            str(noise.measured),
            str(noise.repeated),
            str(noise.spoiled),
            str(noise.disturbed),
            f"{noise.waited_most:.1%}",
        )
        for scenario, noise in results.noise.items()
    ]
    columns = ("scenario", "kept", "repeated", "spoiled: the clock was set", "disturbed", "waited for a core, at most")
    return Table(title="noise: what the machine did", columns=columns, rows=tuple(rows)) if rows else None


def markdown(table: Table) -> str:
    def line(cells: Sequence[str], *, stress: bool = False) -> str:
        escaped = [cell.replace("|", "\\|") for cell in cells]
        return "| " + " | ".join(f"**{cell}**" if stress and cell else cell for cell in escaped) + " |"

    rule = "|" + "|".join(" --- " if at < 1 else " ---: " for at in range(len(table.columns))) + "|"
    rows = [line(row, stress=index in table.ours) for index, row in enumerate(table.rows)]
    return "\n".join([f"### {table.title}", "", line(table.columns), rule, *rows, ""])
