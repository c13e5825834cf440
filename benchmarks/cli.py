"""The command line: ``python -m benchmarks list | plan | run | compare | report | profile | engines``."""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from rich.console import Console

from . import catalogue, scenarios
from .bench import Bench, Progress
from .compare import comparison_table
from .engines import PEERS as ENGINES
from .engines import Profiles, engine_tables, take_profiles, trees_of, write_profiles
from .machine import contention, machine_facts
from .profile import NoProfiler, profile_tables, run_profile, run_steps
from .report import figures_block, write_figures, write_report
from .results import Results, Wrong, load, save
from .syscalls import NoCounter
from .tables import Table, all_tables, does, noise_table, trouble_tables
from .targets import promise_table
from .terminal import Terminal, clock, show

RESULTS = Path(__file__).parent / "results"
README = RESULTS.parent.parent / "README.md"
WRONG, BROKEN = 1, 2
PLAIN_WIDTH = 150
LIMIT_S = 28 * 60.0
"""What is disturbed is measured again as long as a run keeps within this."""
STARTING_S = 3.0
"""About what a peer's program takes to be ready, most of it in imports."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    # An ordinary exit, so that every ``with`` on the way out ends the processes it started.
    raise SystemExit(128 + signal.SIGTERM)


def do_list(console: Console) -> int:
    rows = tuple((scenario.name, scenario.what) for scenario in scenarios.SCENARIOS)
    show(console, Table(title="scenarios", columns=("name", "what"), rows=rows))
    peers = tuple((peer.name, does(peer.facts()), "yes" if peer.quick else "", peer.title) for peer in catalogue.PEERS)
    show(console, Table(title="peers", columns=("name", "does", "in --quick", "what"), rows=peers))
    return 0


def _planned(bench: Bench, chosen: Sequence[scenarios.Scenario]) -> Table:
    """What a run will do and about how long it takes on a machine with nothing else to do."""
    starting_s = STARTING_S * sum(not peer.one_client for peer in bench.peers)
    rows = [(one.name, str(one.steps(bench)), clock(one.takes_s(bench)), one.what) for one in chosen]
    rows.append(("servers", str(len(bench.peers)), clock(starting_s), "each program is started once"))
    whole_s = starting_s + sum(one.takes_s(bench) for one in chosen)
    rows.append(("all", "", clock(whole_s), "what the machine disturbs is measured again, and takes longer"))
    bench.results.planned_s = whole_s
    return Table(title="the plan", columns=("scenario", "steps", "about", "what"), rows=tuple(rows))


def _bench(arguments: argparse.Namespace, progress: Progress, started: datetime) -> Bench:
    return Bench(
        peers=catalogue.chosen(arguments.peers, quick=arguments.quick),
        named=arguments.peers is not None,
        quick=arguments.quick,
        results=Results(started=started.strftime("%Y-%m-%d %H:%M UTC"), quick=arguments.quick, machine=machine_facts()),
        progress=progress,
        rounds_override=arguments.rounds,
    )


def do_plan(console: Console, arguments: argparse.Namespace) -> int:
    bench = _bench(arguments, Terminal(console), datetime.now(UTC))
    show(console, _planned(bench, scenarios.chosen(arguments.names)))
    return 0


def do_run(console: Console, arguments: argparse.Namespace) -> int:
    chosen = scenarios.chosen(arguments.names)
    started = datetime.now(UTC)
    out = arguments.out or RESULTS / f"local-{started:%Y%m%d-%H%M%S}.json"
    with Terminal(console) as progress, _bench(arguments, progress, started) as bench:
        show(console, _planned(bench, chosen))
        progress.planned_s = bench.results.planned_s
        go_through(bench, chosen, out)
    results = bench.results
    last = [table for table in (noise_table(results), promise_table(results)) if table]
    for table in (*all_tables(results), *trouble_tables(results), *last):
        show(console, table)
    console.print(f"{results.took_s:.0f} s; results in {_short(out)}")
    if results.wrong:
        console.print(f"{len(results.wrong)} results are WRONG and were not timed", style="bold red")
        return WRONG
    return 0


def go_through(bench: Bench, chosen: Sequence[scenarios.Scenario], out: Path) -> None:
    """Run each scenario, and write the results after each: whatever ends a run, what it has measured is kept."""
    results = bench.results
    results.unfinished = [scenario.name for scenario in chosen]
    began, contended = time.monotonic(), contention()

    def keep() -> None:
        results.took_s = time.monotonic() - began
        results.machine["cores contended"] = (
            f"{(contention() - contended) / max(results.took_s, 0.001):.0%} of the time"
        )
        save(results, out)

    try:
        for scenario in chosen:
            left_s = sum(one.takes_s(bench) for one in chosen if one.name in results.unfinished)
            bench.spare_s = (LIMIT_S - (time.monotonic() - began) - left_s) / 2  # the other half is for those to come
            try:
                scenario.run(bench)
            except Exception as exc:  # of the suite itself: it costs its own scenario, and the run ends with 1
                traceback.print_exc()
                bench.progress.say(f"{scenario.name} broke off: {exc!r}")
                results.wrong.append(Wrong(scenario=scenario.name, peer="", what=f"it broke off: {type(exc).__name__}"))
                continue
            results.unfinished.remove(scenario.name)
            results.scenarios.append(scenario.name)
            keep()
    finally:
        keep()


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def do_compare(console: Console, arguments: argparse.Namespace) -> int:
    show(console, comparison_table(load(arguments.before), load(arguments.after)))
    return 0


def _newest() -> Path:
    found = sorted(RESULTS.glob("*.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ValueError("there are no results yet: run the suite first, or name a file")
    return found[-1]


def do_report(console: Console, arguments: argparse.Namespace) -> int:
    source = arguments.file or _newest()
    results = load(source)
    for path in write_report(results, arguments.to, arguments.name or source.stem):
        console.print(_short(path))
    block = figures_block(results, _short(source))
    print(f"\n{block}" if block else "\nnone of the README's figures was measured")
    # Only what is kept in the repository is worth a README's word.
    is_kept = source.resolve().parent == RESULTS.resolve() and not source.name.startswith("local-")
    if is_kept and arguments.to == RESULTS and write_figures(README, block):
        console.print(f"written into {_short(README)}")
    return 0


def do_profile(console: Console, arguments: argparse.Namespace) -> int:
    [peer] = catalogue.chosen([arguments.peer], quick=False)
    if arguments.steps:
        table = run_steps(peer, sessions=arguments.sessions, seconds=arguments.seconds, arrivals=arguments.arrivals)
        show(console, table)
        return 0
    results = Results(started="", quick=True, machine={})
    with (
        Terminal(console) as progress,
        Bench(peers=[peer], quick=True, results=results, progress=progress) as bench,
    ):
        profile, cpu_us = run_profile(
            bench, peer, sessions=arguments.sessions, seconds=arguments.seconds, arrivals=arguments.arrivals
        )
    for table in profile_tables(profile, arguments.top):
        show(console, table)
    console.print(f"{profile.total} samples; {cpu_us:.0f} us of CPU per frame while being watched")
    return 0


def do_engines(console: Console, arguments: argparse.Namespace) -> int:
    trees = trees_of(arguments.before)
    words = ["python -m benchmarks engines", *arguments.peers]
    words += ["--before TREE"] if arguments.before else []
    words += [f"--sessions {arguments.sessions} --seconds {arguments.seconds:g} --rounds {arguments.rounds}"]
    profiles = Profiles(command=" ".join(words), sessions=arguments.sessions, machine=machine_facts())
    peers = catalogue.chosen(arguments.peers or [*ENGINES], quick=False)
    with Terminal(console) as progress:
        take_profiles(profiles, peers, trees, progress, seconds=arguments.seconds, rounds=arguments.rounds)
    for table in engine_tables(profiles):
        show(console, table)
    for path in write_profiles(profiles, arguments.out) if arguments.out else ():
        console.print(_short(path))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what can be measured, and whom")
    plan = commands.add_parser("plan", help="what a run would do, and how long it would take")
    run = commands.add_parser("run", help="measure")
    for made in (plan, run):
        made.add_argument("names", nargs="*", metavar="SCENARIO", help="default: all")
        made.add_argument("--quick", action="store_true", help="some minutes: fewer peers, levels and rounds")
        made.add_argument(
            "--peers", nargs="+", metavar="PEER", help='default: all, or a few with --quick; "all" is all'
        )
        made.add_argument("--rounds", type=int, help="repeats of every measurement")
    run.add_argument("--out", type=Path, metavar="FILE", help="default: benchmarks/results/local-TIME.json")
    compare = commands.add_parser("compare", help="two files of results")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    report = commands.add_parser("report", help="write Markdown and plots from a file of results")
    report.add_argument("file", type=Path, nargs="?", help="default: the newest")
    report.add_argument("--to", type=Path, default=RESULTS, metavar="FOLDER")
    report.add_argument("--name", help="of the files; default: that of the results")
    profile = commands.add_parser("profile", help="where a server's time goes (needs py-spy)")
    profile.add_argument("peer")
    profile.add_argument("--steps", action="store_true", help="count the steps of trio's tasks instead (no py-spy)")
    profile.add_argument("--sessions", type=int, default=50)
    profile.add_argument("--seconds", type=float, default=8.0)
    profile.add_argument("--arrivals", choices=("random", "together"), default="random")
    profile.add_argument("--top", type=int, default=40)
    engines = commands.add_parser("engines", help="steps, system calls and microseconds by room, of each engine")
    engines.add_argument("peers", nargs="*", metavar="PEER", help=f"default: {' '.join(ENGINES)}")
    engines.add_argument("--before", type=Path, metavar="TREE", help="an earlier checkout to set beside this one")
    engines.add_argument("--sessions", type=int, default=50)
    engines.add_argument("--seconds", type=float, default=4.0, help="of each look")
    engines.add_argument("--rounds", type=int, default=3, help="of the undisturbed CPU")
    engines.add_argument("--out", type=Path, metavar="FILE", help="JSON, and Markdown beside it")
    return parser


def main(arguments: list[str] | None = None) -> int:
    parsed = _parser().parse_args(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        match parsed.command:
            case "list":
                return do_list(console)
            case "plan":
                return do_plan(console, parsed)
            case "run":
                return do_run(console, parsed)
            case "compare":
                return do_compare(console, parsed)
            case "report":
                return do_report(console, parsed)
            case "engines":
                return do_engines(console, parsed)
            case _:
                return do_profile(console, parsed)
    except (ValueError, NoProfiler, NoCounter) as exc:
        console.print(str(exc), style="bold red", markup=False)
        return BROKEN
    except KeyboardInterrupt:
        console.print("stopped", style="bold red")
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
