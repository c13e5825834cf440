"""The microbenchmarks, each area in a process of its own, so that none inherits another's garbage or imports."""

import json
import subprocess
import sys
from collections.abc import Iterable

from ..bench import Bench, Part
from ..catalogue import Peer
from ..environment import NotInstalled, pipecat_python
from ..micro import Figure
from ..micro.__main__ import AREAS
from ..processes import ROOT
from ..results import Skipped, Wrong

WITHIN_S = 300


def best(figures: Iterable[Figure]) -> list[Figure]:
    """Each figure once, in the order of its first coming, with the least of its values: noise only ever adds."""
    found: dict[tuple[str, str, str], Figure] = {}
    for figure in figures:
        key = (figure.group, figure.name, figure.peer)
        if key not in found or figure.value < found[key].value:
            found[key] = figure
    return [*found.values()]


PICTURES = "pictures"
"""The area that is a scenario of its own."""


def _plan(bench: Bench, names: Iterable[str], each_s: float) -> list[Part]:
    programs = [Peer(name=name, title=name, program="") for name in names]
    return [Part(peers=programs, rounds=bench.rounds(2, 3), each_s=1.0 if bench.quick else each_s)]


def plan_pictures(bench: Bench) -> list[Part]:
    return _plan(bench, [PICTURES], 4.0)


def plan(bench: Bench) -> list[Part]:
    return _plan(bench, [*(area for area in AREAS if area != PICTURES), "pipecat"], 4.0)


def run_pictures(bench: Bench) -> None:
    _measure(bench, PICTURES, [_program(PICTURES)])


def run(bench: Bench) -> None:
    programs = [_program(area) for area in AREAS if area != PICTURES]
    try:
        python = pipecat_python(make=not bench.quick, say=bench.progress.say)
        programs.append(("pipecat", [python, "-m", "benchmarks.peers.pipecat_micro"]))
    except NotInstalled as exc:
        bench.results.skipped.append(Skipped(scenario="micro", peer="pipecat", why=str(exc)))
    _measure(bench, "micro", programs)


def _program(area: str) -> tuple[str, list[str]]:
    return area, [sys.executable, "-m", "benchmarks.micro", area]


def _measure(bench: Bench, scenario: str, programs: list[tuple[str, list[str]]]) -> None:
    """Run each program in several rounds, and keep the best of each figure."""
    all_rounds = range(bench.rounds(2, 3))
    bench.progress.scenario(scenario, len(programs) * len(all_rounds))
    figures: list[Figure] = []
    broken: set[str] = set()
    for _ in all_rounds:
        for name, command in programs:
            bench.progress.step(name)
            if name in broken:
                continue
            try:
                figures += _figures(command, quick=bench.quick)
            except BrokenProgram as exc:
                broken.add(name)
                # What cannot be measured is a fault of ours or a missing package, never slowness: it must be seen.
                bench.results.wrong.append(Wrong(scenario=scenario, peer=name, what=str(exc)))
                bench.progress.say(f"{scenario} {name}: {exc}")
    bench.results.figures.extend(best(figures))


class BrokenProgram(Exception):
    """A program of microbenchmarks ended without figures."""


def _figures(command: list[str], *, quick: bool) -> list[Figure]:
    done = subprocess.run(
        [*command, *(["--quick"] if quick else [])],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=WITHIN_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.strip()]
        raise BrokenProgram(words[-1].replace(str(ROOT), ".") if words else f"exit status {done.returncode}")
    return [Figure(**figure) for figure in json.loads(done.stdout)]
