"""What each engine does for a frame of the paced echo: scheduler steps, system calls, and microseconds by room.

Rules
1. Of this tree and, beside it, of an earlier one: its server runs from its own files, under this tree's load.
2. Counts and samples are taken one after another, each under a load of its own, and the trees take turns.
3. A look at a server that waited for a core is repeated; the calmest counts.
4. Microseconds are those of an undisturbed server, the median of the rounds; samples only say how they are shared out.
   So what py-spy and the steps' instrument cost is in none of them.
"""

import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar, final

from attrs import asdict, define, field

from .bench import TRIES, Progress
from .catalogue import Peer
from .load.jobs import EchoJob
from .processes import ROOT, Server, apply_load, serving
from .profile import UNDER_WAY_S, steps_by_task, take_samples
from .results import CALM
from .rooms import by_room
from .syscalls import system_calls
from .tables import Table, markdown

PEERS: Final = ("ours-server", "ours-direct", "ours-asgi")
_LEAST: Final = 0.005
"""For each frame; what happens less often has nothing to do with frames."""

_LONGER: Final = 3
"""Samples are taken so many times longer than counts: they are estimates."""

T = TypeVar("T")


@final
@define(kw_only=True)
class EngineProfile:
    """One engine of one tree, for each frame."""

    peer: str
    tree: str
    cpu_us: list[float] = field(factory=list)
    """Of the undisturbed server, in each round."""
    round_trip_p50_ms: list[float] = field(factory=list)
    steps: dict[str, float] = field(factory=dict)
    """By task; waits for I/O are in brackets and no task."""
    calls: dict[str, float] = field(factory=dict)
    counted_by: str = ""
    samples: dict[str, int] = field(factory=dict)
    """By room; not for each frame."""
    waited: float = 0.0
    """For what share of the time it had no core, in the worst look."""

    def add(self, fields: dict[str, Any], waited: float) -> None:
        """Take what a look has found; of a figure that has rounds, one more."""
        for name, value in fields.items():
            if isinstance(rounds := getattr(self, name), list):
                rounds.append(value)
            else:
                setattr(self, name, value)
        self.waited = max(self.waited, waited)

    @property
    def rooms_us(self) -> dict[str, float]:
        """The microseconds shared out among the rooms; rule 4."""
        of_each_us = statistics.median(self.cpu_us) / max(1, sum(self.samples.values()))
        return {room: count * of_each_us for room, count in self.samples.items()}

    @property
    def all_steps(self) -> float:
        return sum(count for task, count in self.steps.items() if not task.startswith("("))

    @property
    def all_calls(self) -> float:
        return sum(self.calls.values())


@final
@define(kw_only=True)
class Profiles:
    """What a run of this command found; the file beside the report."""

    command: str
    sessions: int
    machine: dict[str, str]
    found: list[EngineProfile] = field(factory=list)


def _load(server: Server, sessions: int, seconds: float) -> dict[str, float]:
    job = EchoJob(target=server.target, sessions=sessions, warm_s=1.3, window_s=seconds)
    return apply_load(job, within_s=seconds + 60).numbers


def _while_loaded(server: Server, sessions: int, seconds: float, look: Callable[[], T]) -> tuple[T, float, float]:
    """What ``look`` says while the load is on, how many frames a second came back, and the share that it waited."""
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(_load, server, sessions, seconds + 3)
        time.sleep(UNDER_WAY_S)
        seen = look()
        numbers = load.result()
    return seen, numbers["received"] / numbers["window_s"], _waited(numbers)


def _waited(numbers: dict[str, float]) -> float:
    return round(numbers["server_waited_s"] / numbers["window_s"], 3)


Look = Callable[[Peer, Path, int, float], tuple[dict[str, Any], float]]
"""Gives fields of a profile, and for what share of the time the server had no core."""


def _cpu(peer: Peer, tree: Path, sessions: int, seconds: float) -> tuple[dict[str, Any], float]:
    with serving(peer, sys.executable, clients=sessions, tree=tree) as server:
        numbers = _load(server, sessions, seconds)
    cpu_us = round(numbers["server_cpu_s"] / numbers["received"] * 1e6, 1)
    return {"cpu_us": cpu_us, "round_trip_p50_ms": round(numbers["round_trip_p50_ms"], 2)}, _waited(numbers)


def _steps(peer: Peer, tree: Path, sessions: int, seconds: float) -> tuple[dict[str, Any], float]:
    def look() -> tuple[Counter[str], float]:
        before, began = server.ask(), time.monotonic()
        time.sleep(seconds)
        after = server.ask()
        return steps_by_task(before, after), time.monotonic() - began

    with serving(peer, sys.executable, clients=sessions, watched="steps", tree=tree) as server:
        (steps, took_s), rate, waited = _while_loaded(server, sessions, seconds, look)
    return {"steps": _each(steps, rate * took_s)}, waited


def _calls(peer: Peer, tree: Path, sessions: int, seconds: float) -> tuple[dict[str, Any], float]:
    with serving(peer, sys.executable, clients=sessions, tree=tree) as server:
        (by, calls), rate, waited = _while_loaded(
            server, sessions, seconds, lambda: system_calls(server.target.pid, seconds)
        )
    return {"calls": _each(calls, rate * seconds), "counted_by": by}, waited


def _samples(peer: Peer, tree: Path, sessions: int, seconds: float) -> tuple[dict[str, Any], float]:
    seconds *= _LONGER
    with serving(peer, sys.executable, clients=sessions, tree=tree) as server:
        folded, _, waited = _while_loaded(server, sessions, seconds, lambda: take_samples(server.target.pid, seconds))
    return {"samples": dict(by_room(folded).most_common())}, waited


def _each(counts: Counter[str] | dict[str, float], frames: float) -> dict[str, float]:
    shares = {name: count / frames for name, count in sorted(counts.items(), key=lambda item: -item[1])}
    return {name: round(share, 3) for name, share in shares.items() if share > _LEAST}


def _calmest(look: Look, *what: Any) -> tuple[dict[str, Any], float]:  # noqa: ANN401 - the arguments of a look
    found, waited = look(*what)
    for _ in range(TRIES - 1):
        if waited <= CALM:
            break
        again = look(*what)
        if again[1] < waited:
            found, waited = again
    return found, waited


def take_profiles(
    profiles: Profiles,
    peers: Sequence[Peer],
    trees: dict[str, Path],
    progress: Progress,
    *,
    seconds: float,
    rounds: int,
) -> None:
    """Profile each peer of each tree, and add what was found to ``profiles``."""
    found = {(peer.name, tree): EngineProfile(peer=peer.name, tree=tree) for peer in peers for tree in trees}
    looks: list[Look] = [_cpu] * rounds + [_steps, _calls, _samples]
    progress.scenario("engines", len(looks) * len(found))
    for look in looks:
        for peer in peers:
            for tree, folder in trees.items():
                fields, waited = _calmest(look, peer, folder, profiles.sessions, seconds)
                found[peer.name, tree].add(fields, waited)
                progress.step(f"{peer.name}, {tree}")
    profiles.found += found.values()


def engine_tables(profiles: Profiles) -> list[Table]:
    """What a frame costs in all, and then by task, by system call and by room: a column for each engine and tree."""
    found = profiles.found
    columns = tuple(f"{one.peer}, {one.tree}" for one in found)
    whole = (
        ("CPU, us", *(f"{statistics.median(one.cpu_us):.0f}" for one in found)),
        ("scheduler steps", *(f"{one.all_steps:.2f}" for one in found)),
        ("system calls", *(f"{one.all_calls:.2f}" for one in found)),
        ("median round trip, ms", *(f"{statistics.median(one.round_trip_p50_ms):.2f}" for one in found)),
        ("waited for a core, at most", *(f"{one.waited:.1%}" for one in found)),
    )
    return [
        Table(title="A frame in all", columns=("", *columns), rows=whole),
        _table("Scheduler steps", "task", columns, [one.steps for one in found], "{:.2f}"),
        _table("System calls", "call", columns, [one.calls for one in found], "{:.2f}"),
        _table("Microseconds by room", "room", columns, [one.rooms_us for one in found], "{:.1f}"),
    ]


def _table(title: str, what: str, columns: tuple[str, ...], figures: list[dict[str, float]], form: str) -> Table:
    names = sorted({name for each in figures for name in each}, key=lambda name: -max(f.get(name, 0) for f in figures))
    rows = tuple(
        (name, *(form.format(each[name]) if name in each else "" for each in figures))
        for name in names
        if max(each.get(name, 0) for each in figures) >= 10 ** -int(form[3]) / 2
    )
    return Table(title=title, columns=(what, *columns), rows=rows)


def write_profiles(profiles: Profiles, out: Path) -> list[Path]:
    """Write the figures as JSON, and the tables as Markdown beside them."""
    out.write_text(json.dumps(asdict(profiles), indent=1) + "\n")
    counted = ", ".join(sorted({one.counted_by for one in profiles.found}))
    samples = [sum(one.samples.values()) for one in profiles.found]
    facts = "; ".join(f"{name}: {value}" for name, value in profiles.machine.items())
    text = [
        "# What each engine does for a frame\n",
        f"The paced echo, {profiles.sessions} sessions at random phases; every figure is for one frame, in and out.\n",
        f"Made by `{profiles.command}`. {facts}.\n",
        f"System calls were counted by {counted}. Microseconds are the kernel's CPU time of a server that nobody "
        f"looked at, the median of the rounds, shared out by {min(samples)} samples of py-spy or more: by the file "
        "of the innermost Python function, so that a system call is where it was made.\n",
        *map(markdown, engine_tables(profiles)),
    ]
    beside = out.with_suffix(".md")
    beside.write_text("\n".join(text))
    return [out, beside]


def trees_of(before: Path | None) -> dict[str, Path]:
    """The trees to profile, by the name of their column."""
    if before is None:
        return {"now": ROOT}
    if not (before / "benchmarks" / "peers").is_dir():
        raise ValueError(
            f"{before} is no tree of this repository: check an earlier commit out there (git worktree add)"
        )
    return {"before": before.resolve(), "now": ROOT}
