"""Where a server's time goes under the paced echo: by function, as py-spy sees it, and by step of trio's tasks."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import final

from attrs import frozen

from .bench import Bench
from .catalogue import Peer
from .load.jobs import EchoJob
from .processes import ROOT, apply_load, serving
from .tables import Table

UNDER_WAY_S = 2.5
"""Until the load has connected and warmed up."""
LEAST_STEPS = 0.01
"""For each frame; a task that takes fewer has nothing to do with frames."""


class NoProfiler(Exception):
    """py-spy is not installed, or may not look at other processes here."""


@final
@frozen
class Profile:
    """Samples by function: where the program was, and what it was called from."""

    itself: Counter[str]
    below: Counter[str]
    total: int
    modules: Counter[str]
    """By the module of this library that was nearest in the stack, or of the engine where none was."""


def read_folded(text: str) -> Profile:
    """Add up folded stacks (``outer;inner count``); a function that calls itself counts once in a stack."""
    itself: Counter[str] = Counter()
    below: Counter[str] = Counter()
    modules: Counter[str] = Counter()
    total = 0
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if not stack or not count.isdigit() or any("_obey_parent" in frame for frame in frames):
            continue
        samples = int(count)
        total += samples
        itself[frames[-1]] += samples
        modules[_module(frames)] += samples
        for frame in set(frames):
            below[frame] += samples
    return Profile(itself, below, total, modules)


def _module(frames: list[str]) -> str:
    """Where a stack belongs: the innermost file of ours in it, then the innermost of an installed package."""
    files = [frame.rpartition("(")[2].partition(":")[0] for frame in reversed(frames)]
    ours = next((file for file in files if file.startswith(("trio_transports/", "benchmarks/peers/ours."))), None)
    if ours:
        return ours
    packages = (file.partition("site-packages/")[2] for file in files)
    return next((package for package in packages if package), files[0])


def profile_tables(profile: Profile, top: int) -> list[Table]:
    def table(title: str, counts: Counter[str]) -> Table:
        rows = tuple((f"{samples / profile.total:.1%}", name) for name, samples in counts.most_common(top))
        return Table(title=title, columns=("share", "function"), rows=rows)

    return [
        table("itself", profile.itself),
        table("with what it calls", profile.below),
        table("by module of ours, with what it calls outside", profile.modules),
    ]


def _py_spy() -> str:
    beside = Path(sys.executable).parent / "py-spy"
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if not found:
        raise NoProfiler("py-spy is not installed: pip install py-spy")
    return found


def take_samples(pid: int, seconds: float) -> str:
    """Folded stacks of a process, with paths that begin at the repository or the interpreter where they lie there."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "stacks"
        command = [_py_spy(), "record", "--pid", str(pid), "--output", str(raw), "--format", "raw"]
        command += ["--rate", "250", "--duration", str(round(seconds)), "--function", "--full-filenames"]
        spy = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
        if not raw.exists():
            raise NoProfiler(f"py-spy wrote nothing: {spy.stderr.strip()[-300:]}")
        return raw.read_text().replace(str(ROOT) + "/", "").replace(sys.prefix + "/", "")


def run_profile(bench: Bench, peer: Peer, *, sessions: int, seconds: float, arrivals: str) -> tuple[Profile, float]:
    """The profile of a server under load, and its CPU for each frame in microseconds (py-spy's own cost included)."""
    with bench.server("profile", peer, clients=sessions) as server:
        if server is None:
            raise NoProfiler(f"{peer.name} cannot be run here")
        job = EchoJob(target=server.target, sessions=sessions, warm_s=1.0, window_s=seconds + 3, arrivals=arrivals)
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(apply_load, job, within_s=seconds + 60)
            time.sleep(UNDER_WAY_S)
            text = take_samples(server.target.pid, seconds)
            outcome = load.result()
        numbers = outcome.numbers
        return read_folded(text), numbers["server_cpu_s"] / max(1.0, numbers["received"]) * 1e6


def run_steps(peer: Peer, *, sessions: int, seconds: float, arrivals: str) -> Table:
    """How many steps each of a trio server's tasks takes for a frame, and how long they are.

    The instrument itself costs a few microseconds a step; the counts are exact.
    """
    with serving(peer, sys.executable, clients=sessions, watched="steps") as server, ThreadPoolExecutor(1) as pool:
        job = EchoJob(target=server.target, sessions=sessions, warm_s=1.0, window_s=seconds + 3, arrivals=arrivals)
        load = pool.submit(apply_load, job, within_s=seconds + 60)
        time.sleep(UNDER_WAY_S)
        before, began = server.ask(), time.monotonic()
        time.sleep(seconds)
        after, took_s = server.ask(), time.monotonic() - began
        numbers = load.result().numbers
    return steps_table(before, after, numbers["received"] / numbers["window_s"] * took_s)


def steps_by_task(before: dict[str, list[int]], after: dict[str, list[int]]) -> Counter[str]:
    """How many steps each task took between two counts; tasks of one name are one."""
    return Counter({name: count - before.get(name, [0, 0])[0] for name, (count, _) in after.items()})


def steps_table(before: dict[str, list[int]], after: dict[str, list[int]], frames: float) -> Table:
    """The difference of two counts, for each frame; what hardly happens is left out."""
    found = []
    for name, (count, took_ns) in after.items():
        was_count, was_ns = before.get(name, [0, 0])
        steps = (count - was_count) / frames
        if steps > LEAST_STEPS:
            found.append((steps, (took_ns - was_ns) / frames / 1e3, name))
    rows = [(name, f"{steps:.2f}", f"{took_us:.1f}") for steps, took_us, name in sorted(found, reverse=True)]
    tasks = [(steps, took_us) for steps, took_us, name in found if not name.startswith("(")]
    rows.append(("all tasks", f"{sum(steps for steps, _ in tasks):.2f}", f"{sum(us for _, us in tasks):.1f}"))
    return Table(title="trio's steps for a frame", columns=("task", "steps", "us of CPU"), rows=tuple(rows))
