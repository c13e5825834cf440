"""The report of a run: one Markdown file with every table, and the plots it shows, beside each other in one folder."""

import re
from pathlib import Path

from attrs import evolve

from . import svg
from .catalogue import BASELINE, PEERS
from .results import Measurement, Results
from .summary import number
from .tables import CURVE, HEADLINES, all_tables, markdown, noise_table, trouble_tables
from .targets import FIGURES, promise_table

NOTES = {
    "echo": "Server CPU for one 20 ms frame, in and out (lower is better)",
    "capacity": "Sessions one server process holds (higher is better)",
    "pacing": "Gap error, 99th percentile, while playing (lower is better)",
    "churn": "Calls per second: connect, one frame, close (higher is better)",
    "memory": "Memory of an idle session (lower is better)",
    "serve": "Calls per second of the serve command, by workers (higher is better)",
    "stall": "Echo latency from one second after a 300 ms hole in a live source (lower is better)",
}


def _kind(results: Results, peer: str) -> str:
    facts = results.peers.get(peer)
    if facts and facts.ours:
        return "ours"
    return "rival" if facts and facts.decodes else "floor"


def _typical(found: list[Measurement]) -> list[Measurement]:
    """The case that most peers were measured in; among those, the one nearest to 50 sessions."""
    cases: dict[tuple[int | None, str], list[Measurement]] = {}
    for measurement in found:
        cases.setdefault((measurement.sessions, measurement.case), []).append(measurement)
    return max(cases.values(), key=lambda one: (len(one), -abs((one[0].sessions or 50) - 50), not one[0].case))


def bar_plot(results: Results, scenario: str) -> str | None:
    """The headline of a scenario as bars, in its most telling case; None where nothing was measured."""
    found = [m for m in results.of(scenario, HEADLINES[scenario]) if m.case not in ("search", CURVE)]
    if not found:
        return None
    typical = _typical(found)
    base = next((measurement.middle for measurement in typical if measurement.peer == BASELINE), 0.0)
    order = {peer.name: at for at, peer in enumerate(PEERS)}
    rows = []
    for one in sorted(typical, key=lambda measurement: order.get(measurement.peer, 99)):
        times = f" ({number(one.middle / base)}x)" if base else ""
        rows.append((one.peer, one.middle, f"{number(one.middle)} {one.unit}{times}", _kind(results, one.peer)))
    sessions = typical[0].sessions
    where = f", {sessions} sessions" if sessions else ""
    return svg.bars(f"{scenario}{where}", NOTES.get(scenario, HEADLINES[scenario]), rows)


def growth_plot(results: Results, metric: str, up: str) -> str | None:
    """How a figure of the echo grows with the number of sessions; None with fewer than two levels."""
    series: dict[str, dict[float, float]] = {}
    for scenario in ("capacity", "growth", "echo"):
        for measurement in results.of(scenario, metric):
            if measurement.sessions is not None and measurement.case in ("", "search"):
                series.setdefault(measurement.peer, {})[measurement.sessions] = measurement.middle
    order = [peer.name for peer in PEERS if len(series.get(peer.name, {})) > 1]
    if not order:
        return None
    return svg.lines(
        f"{metric} by number of sessions",
        "paced echo sessions",
        up,
        {name: [*series[name].items()] for name in order},
        {peer.name: at for at, peer in enumerate(PEERS)},
    )


def stall_plot(results: Results) -> str | None:
    """How late the echo of a live source is over time, through the holes in it; None where it was not measured."""
    series: dict[str, list[tuple[float, float]]] = {}
    for measurement in results.of("stall"):
        if measurement.case == CURVE:
            series.setdefault(measurement.peer, []).append((float(measurement.metric), measurement.middle))
    if not series:
        return None
    return svg.lines(
        "echo latency of a live source with holes in it",
        "seconds since the start",
        "median age of what comes back, ms",
        {peer.name: series[peer.name] for peer in PEERS if peer.name in series},
        {peer.name: at for at, peer in enumerate(PEERS)},
    )


def write_report(results: Results, folder: Path, name: str = "report") -> list[Path]:
    """Write ``name.md`` and its plots into ``folder``; the paths that were written."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = {f"{scenario}.svg": bar_plot(results, scenario) for scenario in NOTES}
    plots["growth-cpu.svg"] = growth_plot(results, "server CPU", "% of a core")
    plots["growth-cpu-per-frame.svg"] = growth_plot(results, "server CPU per frame", "us")
    plots["growth-round-trip.svg"] = growth_plot(results, "round trip p99", "ms")
    plots["stall-over-time.svg"] = stall_plot(results)
    written = []
    for file, plot in plots.items():
        if plot is not None:
            path = folder / f"{name}-{file}"
            path.write_text(plot)
            written.append(path)
    path = folder / f"{name}.md"
    path.write_text(_document(results, [plot.name for plot in written]))
    return [path, *written]


def figures_block(results: Results, file: str) -> str:
    """What the README shows of this run, between the markers that name its file; "" where none of it was measured."""
    table = promise_table(results)
    rows = tuple(row for name in FIGURES for row in (table.rows if table else ()) if row[0] == name)
    if table is None or not rows:
        return ""
    lines = markdown(evolve(table, rows=rows)).splitlines()[2:]
    return "\n".join([f"<!-- figures: {file} -->", *lines, "<!-- /figures -->"])


def write_figures(readme: Path, block: str) -> bool:
    """Put the block where the README has one; False where it has none, or where nothing is to be put."""
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    whole = re.compile(r"<!-- figures: \S+ -->\n.*?<!-- /figures -->", re.DOTALL)
    if not block or not whole.search(text):
        return False
    readme.write_text(whole.sub(lambda _found: block, text, count=1), encoding="utf-8")
    return True


def _document(results: Results, plots: list[str]) -> str:
    facts = "; ".join(f"{key} {value}" for key, value in results.machine.items())
    kind = "quick run" if results.quick else "full run"
    parts = [
        "# Benchmark results",
        "",
        f"{kind} of {results.started}, {results.took_s / 60:.0f} minutes. {facts}.",
        "",
        "Every ratio is between peers measured in the same run, round by round. Figures in microseconds are of that "
        "machine only. A peer that only moves bytes neither decodes nor paces: it is a floor, not a rival. Gaps and "
        "round trips are timed by the kernel. `load CPU` is the load generator's own. A measurement that the machine "
        "disturbed was repeated; what it could not be spared stands under *noise*.",
        "",
    ]
    promised = promise_table(results)
    if promised:
        parts += [markdown(promised)]
    parts += [f"![{plot}]({plot})\n" for plot in plots]
    noise = noise_table(results)
    tables = (*trouble_tables(results), *([noise] if noise else []), *all_tables(results))
    parts += [markdown(table) for table in tables]
    parts += ["### who was measured", ""]
    for name, peer in results.peers.items():
        versions = ", ".join(f"{package} {version}" for package, version in peer.versions.items())
        parts.append(f"- **{name}**: {peer.title}; Python {peer.python}; {versions}")
    return "\n".join([*parts, ""])
