"""Fuzz every decoder, and the servers' ports, for as long as told: ``python -m tests.fuzz --seconds 60 [TARGET ...]``.

With atheris installed (``pip install atheris``) it is the guide; without it, a small loop of this package's own.
``--keep`` adds what has reached new lines to the corpus.
"""

import argparse
import logging
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.catalogue import TARGETS
from tests.fuzz.corpus import inputs_of, keep
from tests.fuzz.loop import Found, Search, told
from tests.fuzz.target import Target


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--own", action="store_true", help="do not use atheris, though it is there")
    options = parser.parse_args(arguments)
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    guide = "atheris" if find_spec("atheris") and not options.own else "own loop"
    logging.getLogger("trio_transports").setLevel(logging.ERROR)  # what is only warned of is right
    total, findings = 0, 0
    print(f"{'target':<20}{'inputs':>10}{'lines':>8}{'kept':>6}{'findings':>10}   by {guide}")
    for name in options.targets or TARGETS:
        target = TARGETS[name]
        if guide == "atheris":
            inputs, reached, found = by_atheris(target, options.seconds, options.seed)
        else:
            search = Search(target, options.seed)
            search.run(seconds=options.seconds)
            inputs, reached, found = search.inputs, search.reached, list(search.found.values())
        kept = keep(target, reached) if options.keep and not found else 0
        lines = lines_of(target, reached)
        print(f"{name:<20}{inputs:>10}{lines:>8}{kept:>6}{len(found):>10}", flush=True)
        if found:
            print(told(found), flush=True)
        total += inputs
        findings += len(found)
    print(f"{total} inputs, {findings} findings")
    return 1 if findings else 0


def lines_of(target: Target, reached: Sequence[bytes]) -> int:
    """How many lines of the library all of it reaches."""
    search = Search(target)
    for data in (*inputs_of(target), *reached):
        try:
            search.coverage.watch(target.feed, data)
        except Exception:
            continue  # a finding, which is told by itself
    return len(search.coverage.seen)


def by_atheris(target: Target, seconds: float, seed: int) -> tuple[int, list[bytes], list[Found]]:
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "inputs")
        inputs.mkdir()
        for number, data in enumerate(inputs_of(target)):
            (inputs / f"seed-{number}").write_bytes(data)
        limits = [f"-max_total_time={seconds:.0f}", f"-max_len={target.max_bytes}", f"-seed={seed + 1}"]
        guided = [sys.executable, "-m", "tests.fuzz.guided", target.name, str(inputs)]
        command = [*guided, f"-artifact_prefix={folder}/", *limits]
        run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        reached = [path.read_bytes() for path in inputs.iterdir() if not path.name.startswith("seed-")]
        executed = [line for line in run.stderr.splitlines() if line.startswith("stat::number_of_executed_units")]
        found = []
        if run.returncode:
            bad = [path.read_bytes() for path in Path(folder).iterdir() if path.is_file()]
            found = [Found(bad[0] if bad else b"", (run.stdout + run.stderr)[-3000:])]
        return int(executed[-1].split()[-1]) if executed else 0, reached, found


if __name__ == "__main__":
    sys.exit(main())
