"""The processes of a run: servers and loads, each ended by its pid on every way out.

Rules
1. A process is started by a ``with`` statement and is gone when that ends, whatever happens inside.
2. Each one also ends by itself when its stdin closes, which the kernel does when the suite is killed.
3. stdout carries one JSON line per answer. stderr goes to a file that nobody else sees, for the message of a failure.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, final

from attrs import define, field

from .catalogue import Peer
from .load.__main__ import write_job
from .load.jobs import Job, Outcome, Target

ROOT = Path(__file__).parent.parent
START_S = 60.0


class DidNotStart(Exception):
    """A server program ended, or said nothing, before it was ready."""


class LoadFailed(Exception):
    """The load process itself broke: a fault of the suite, not of a peer."""


@final
@define(eq=False)
class Server:
    """A running server program."""

    peer: Peer
    target: Target
    python: str
    versions: dict[str, str]
    _process: subprocess.Popen[str]
    _errors: IO[str]
    _answers: "Lines"

    def ask(self, within_s: float = 10.0) -> dict[str, list[int]]:
        """What the program counted so far, if it counts."""
        assert self._process.stdin is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        answer: dict[str, list[int]] = json.loads(self._answers.read(within_s) or "{}")
        return answer

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def last_words(self) -> str:
        return _tail(self._errors)


@final
@define(eq=False)
class Lines:
    """Lines from a pipe, with a deadline."""

    _pipe: IO[str]
    _buffer: str = field(default="", init=False)

    def read(self, within_s: float) -> str:
        """The next line; empty when the pipe ended or time was up."""
        deadline = time.monotonic() + within_s
        descriptor = self._pipe.fileno()
        while "\n" not in self._buffer:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
                return ""
            data = os.read(descriptor, 1 << 20)
            if not data:
                return ""
            self._buffer += data.decode()
        line, _, self._buffer = self._buffer.partition("\n")
        return line


def _tail(errors: IO[str]) -> str:
    """The last line that says something, without paths: they would name a user."""
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip(" |+-")]
    return lines[-1][:300].replace(str(ROOT), ".") if lines else "it said nothing"


@contextmanager
def _process(
    interpreter: str, module: str, *arguments: str, tree: Path = ROOT, **variables: str
) -> Iterator[tuple["subprocess.Popen[str]", IO[str]]]:
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONUNBUFFERED": "1"} | variables
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [interpreter, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=tree,
            env=environment,
        )
        try:
            yield process, errors
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    """Close its stdin, which ends a program of ours; then less kindly, by its pid."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
    for harder in (process.terminate, process.kill):
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            harder()
        else:
            return
    process.wait()


@contextmanager
def serving(
    peer: Peer, interpreter: str, *, clients: int = 1, watched: str = "", tree: Path = ROOT
) -> Iterator[Server]:
    """Run a peer's server program. ``clients`` matters to one whose transport serves a single client.

    ``watched``: a program on trio counts the "steps" of its tasks, or says which was the "longest". ``tree``: the
    repository whose files it runs from, which may be an earlier one.
    """
    variables = {"TT_BENCH_STEPS": watched} if watched else {}
    program = f"benchmarks.peers.{peer.program}"
    with _process(interpreter, program, str(clients), *peer.arguments, tree=tree, **variables) as (process, errors):
        assert process.stdout is not None
        lines = Lines(process.stdout)
        line = lines.read(START_S)
        if not line:
            process.poll()
            raise DidNotStart(_tail(errors))
        ready: dict[str, Any] = json.loads(line)
        target = Target(ports=ready["ports"], pid=ready["pid"], workers=ready.get("workers", ()), **ready["facts"])
        yield Server(peer, target, ready["python"], ready["versions"], process, errors, lines)


def apply_load(job: Job, *, within_s: float) -> Outcome:
    """Do one job in a process of its own and give back what it found."""
    with _process(sys.executable, "benchmarks.load") as (process, errors):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(write_job(job) + "\n")
        process.stdin.flush()
        line = Lines(process.stdout).read(within_s)
        if not line:
            process.poll()
            raise LoadFailed(f"{type(job).__name__}: {_tail(errors)}")
        return Outcome(**json.loads(line))
