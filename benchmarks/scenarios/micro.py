"""The microbenchmarks, each area in a process of its own, so that none inherits another's garbage or imports."""

import json
import subprocess
import sys

from ..bench import Bench
from ..environment import NotInstalled, pipecat_python
from ..micro import Figure
from ..micro.__main__ import AREAS
from ..processes import ROOT
from ..results import Skipped

WITHIN_S = 300


def run(bench: Bench) -> None:
    programs = [(area, sys.executable, ["-m", "benchmarks.micro", area]) for area in AREAS]
    bench.progress.scenario("micro", len(programs) + 1)
    try:
        python = pipecat_python(make=not bench.quick, say=bench.progress.say)
        programs.append(("pipecat", python, ["-m", "benchmarks.peers.pipecat_micro"]))
    except NotInstalled as exc:
        bench.results.skipped.append(Skipped(scenario="micro", peer="pipecat", why=str(exc)))
    for name, python, arguments in programs:
        bench.progress.step(name)
        done = subprocess.run(
            [python, *arguments, *(["--quick"] if bench.quick else [])],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=WITHIN_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            words = [line for line in done.stderr.splitlines() if line.strip()]
            why = words[-1].replace(str(ROOT), ".") if words else f"exit status {done.returncode}"
            bench.results.skipped.append(Skipped(scenario="micro", peer=name, why=why))
            bench.progress.say(f"micro {name}: {why}")
            continue
        bench.results.figures.extend(Figure(**figure) for figure in json.loads(done.stdout))
