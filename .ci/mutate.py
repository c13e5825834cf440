"""Change the code a little, and see whether a test notices: ``python .ci/mutate.py trio_transports/hosting``.

Rules
1. ``mutants.py`` says what a mutant is. All are tried, or a sample that a seed draws, so that a run can be repeated.
2. One process collects the tests of the rooms. Forks of it run each once on the unchanged code, to see which functions
   it calls and how long it takes. What fails then could tell nothing of a mutant, is named, and is left out.
3. For each mutant there is a fork that puts the changed code into the functions that are there, and runs the tests that
   call them, the quickest of each file first, until one fails: it has died. Nothing is written, and a program that a
   test starts is not changed. A mutant is alive when all pass, or when no test calls its function.
4. A test hangs that takes three times as long as it did. Its mutant is run again from there on when all others are
   done, with nothing beside it, and counts as dead where a test then takes ten times as long.
5. What is called while modules are imported has had its effect by then. A mutant of that which is alive is run once
   more, with everything imported anew from the changed source; so is one whose code cannot be put in place.
6. Survivors that no test can see are listed, each with its reason, in ``.ci/equivalent_mutants.txt``, and are left out
   of the count; so is what the compiler makes the same code of.
"""

import argparse
import gc
import importlib
import json
import os
import random
import select
import signal
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from cProfile import Profile
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from itertools import groupby, zip_longest
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import TextIO, TypeVar

import pytest
from hypothesis import Phase, settings
from mutants import ROOT, Mutant, mutants, place_of

PACKAGE = ROOT / "trio_transports"
EQUIVALENT = ROOT / ".ci" / "equivalent_mutants.txt"

_SESSION = ["tests/session", *(f"--ignore=tests/session/test_{part}.py" for part in ("cancellation_sweep", "model"))]
_WIRE = ["tests/wire", "tests/foundation", "tests/real/wire", "--ignore=tests/real/wire/test_paths_keep_time.py"]
_BUS = [f"tests/real/bus/test_{part}.py" for part in ("redis", "redis_counting", "redis_streams", "proxy_sockets")]
TESTS = {
    "session": _SESSION,
    "wire": _WIRE,
    "audio": ["tests/audio", "tests/foundation", *_SESSION],
    "video": ["tests/video", "tests/session/test_eye.py"],
    "transports": [*_SESSION, "tests/real/session"],
    "bus": ["tests/bus", *_BUS, "tests/real/bus/test_serving.py", "tests/real/bus/test_hostile_peer.py"],
    "serializers": ["tests/serializers", "tests/session/test_lines_ask.py"],
}
"""What pytest is given for a room, where that is not the tests of its name."""

PYTEST = ("-q", "-s", "--no-header", "--assert=plain", "-o", "timeout=0", "-p", "no:cacheprovider", "-p", "no:xdist")


_EQUIVALENT, _NOT_PUT_IN_PLACE = 100, 101
OUTCOMES = {0: "alive", _EQUIVALENT: "equivalent", _NOT_PUT_IN_PLACE: "not put in place", -signal.SIGKILL: "hung"}
"""By how its process has ended; by any other end it has died."""

FIRST, AGAIN = 3, 10
"""How many times as long as on the unchanged code a test may take."""

_BEFORE_TESTS_S = 20.0
"""How long it takes at most, on an idle machine, until the first test is begun."""


Place = tuple[str, str, int]
Codes = defaultdict[Place, list[CodeType]]


def _first_line(code: CodeType) -> Place:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(f"{PACKAGE}/")


def by_first_line(module: CodeType) -> Codes:
    """All that is compiled in a module, by where it is."""
    found: Codes = defaultdict(list)
    waiting = [module]
    while waiting:
        code = waiting.pop()
        found[_first_line(code)].append(code)
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return found


class Calls:
    """Which functions of the package are called; as quickly as the interpreter itself can tell, but in threads."""

    def __init__(self) -> None:
        self._in_threads: set[CodeType] = set()
        self._profile = Profile(subcalls=False, builtins=False)
        threading.setprofile(self._note)
        self._profile.enable()

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self._in_threads.add(frame.f_code)

    def end(self) -> list[str]:
        """Where they are."""
        self._profile.disable()
        threading.setprofile(None)
        called = {entry.code for entry in self._profile.getstats() if isinstance(entry.code, CodeType)}
        return sorted({place_of(code) for code in called | self._in_threads if _is_ours(code)})


Work = TypeVar("Work")


@dataclass
class _Fork:
    pid: int
    pipe: int
    until_s: float
    said: str = ""

    def listen(self) -> bool:
        """Whether it has said anything more."""
        before = len(self.said)
        while select.select([self.pipe], [], [], 0)[0] and (data := os.read(self.pipe, 1 << 16)):
            self.said += data.decode(errors="replace")
        return len(self.said) > before

    def kill(self) -> None:
        """It, and what tests have started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def _forked(body: Callable[[TextIO], int]) -> _Fork:
    ours, theirs = os.pipe()
    sys.stdout.flush()
    if pid := os.fork():
        os.close(theirs)
        return _Fork(pid, ours, 0.0)
    outcome = 1
    try:
        os.setpgid(0, 0)  # not a session: where the kernel groups by session, it would lose the priority of the whole
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        outcome = body(open(theirs, "w", buffering=1))  # noqa: SIM115  # the process's end closes it
    finally:
        os._exit(outcome)


def in_forks(
    work: Iterable[Work], jobs: int, body: Callable[[Work, TextIO], int], limit_s: Callable[[str], float]
) -> Iterator[tuple[Work, int, list[str]]]:
    """Do each in a process of its own, so many at a time: how it ended, and the lines that it said.

    ``limit_s`` tells by the last line how long it may take for the next.
    """
    waiting, running = deque(work), dict[int, tuple[Work, _Fork]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            doing = waiting.popleft()
            fork = _forked(lambda pipe, doing=doing: body(doing, pipe))  # type: ignore[misc]
            fork.until_s = time.monotonic() + limit_s("")
            running[fork.pid] = doing, fork
        for pid, (doing, fork) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if fork.listen():
                fork.until_s = time.monotonic() + limit_s(fork.said.rstrip("\n").rpartition("\n")[2])
            if ended:
                del running[pid]
                fork.kill()
                os.close(fork.pipe)
                yield doing, os.waitstatus_to_exitcode(status), fork.said.splitlines()
            elif time.monotonic() > fork.until_s:
                fork.kill()
        time.sleep(0.01)


class _AlikeDrawn:
    """Has Hypothesis draw the same examples each time, and not look for smaller ones once it has failed."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Begin: by now a conftest has chosen its own profile."""
        phases = [Phase.explicit, Phase.generate]
        settings.register_profile("mutants", settings.default, derandomize=True, phases=phases)
        settings.load_profile("mutants")


@dataclass(frozen=True)
class Trial:
    """A mutant, and the tests that are to be run on it."""

    mutant: Mutant
    tests: Sequence[str]


Way = Callable[["Trials", Trial, TextIO], int]


class Trials(_AlikeDrawn):
    """A plugin of pytest that tries mutants instead of running the tests that it has collected."""

    def __init__(self, chosen: Sequence[Mutant], jobs: int, least_s: float, most: int | None) -> None:
        self._chosen, self._jobs, self._least_s, self._most = chosen, jobs, least_s, most
        self._importing = Calls()
        self._took_s: dict[str, float] = {}
        self._calling: defaultdict[str, set[str]] = defaultdict(set)
        self._functions: defaultdict[Place, list[FunctionType]] = defaultdict(list)
        self.outcomes: dict[Mutant, str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try all of them."""
        self._session, self._items = session, {item.nodeid: item for item in session.items}
        for path in {mutant.path for mutant in self._chosen}:
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            with suppress(ImportError):  # no test can reach what needs an extra that is not there
                importlib.import_module(name)
        imported = self._importing.end()
        self._find_functions()
        self._run_unchanged()
        plan = [Trial(mutant, self._tests_of(mutant)[: self._most]) for mutant in self._chosen]
        self.outcomes = {trial.mutant: "alive" for trial in plan if not trial.tests}
        hung = self._try([trial for trial in plan if trial.tests], Trials._swapped, self._jobs, FIRST)
        self._try(hung, Trials._swapped, 1, AGAIN)
        quickest = self._in_order(self._took_s)[:100]
        anew = [
            Trial(trial.mutant, list(dict.fromkeys([*trial.tests, *quickest])))
            for trial in plan
            if (outcome := self.outcomes[trial.mutant]) == "not put in place"
            or (outcome == "alive" and trial.mutant.place in imported)
        ]
        self._try(anew, Trials._imported_anew, 1, AGAIN)
        return True

    def _find_functions(self) -> None:
        gc.unfreeze()
        for thing in gc.get_objects():
            if isinstance(thing, FunctionType) and _is_ours(thing.__code__):
                self._functions[_first_line(thing.__code__)].append(thing)
        gc.freeze()

    def _run(self, tests: Sequence[str], pipe: TextIO) -> Iterator[tuple[str, bool]]:
        """Run these; for each, whether it has passed."""
        items = [self._items[test] for test in tests]
        for item, following in zip_longest(items, items[1:]):
            failed = self._session.testsfailed
            print(item.nodeid, file=pipe)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            yield item.nodeid, self._session.testsfailed == failed

    def _run_unchanged(self) -> None:
        files = [list(tests) for _, tests in groupby(self._items, lambda test: test.split("::")[0])]
        for tests, _, said in in_forks(files, self._jobs, self._watched, lambda _: 600.0):
            for told in (json.loads(line) for line in said if line.startswith("{")):
                self._took_s[told["test"]] = told["took_s"]
                for place in told["calls"]:
                    self._calling[place].add(told["test"])
            for test in tests:
                if test not in self._took_s:
                    print(f"left out, for it fails or hangs on the unchanged code: {test}", flush=True)
        print(
            f"{len(self._took_s)} tests pass on the unchanged code, in {sum(self._took_s.values()):.0f} s", flush=True
        )

    def _watched(self, tests: Sequence[str], pipe: TextIO) -> int:
        started_s, calls = time.monotonic(), Calls()
        for test, has_passed in self._run(tests, pipe):
            took_s, called = time.monotonic() - started_s, calls.end()
            if has_passed:
                print(json.dumps({"test": test, "took_s": took_s, "calls": called}), file=pipe)
            started_s, calls = time.monotonic(), Calls()
        return 0

    def _tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that call the changed function, or one inside it."""
        inside = [tests for place, tests in self._calling.items() if f"{place}.".startswith(f"{mutant.place}.")]
        return self._in_order(set[str]().union(*inside))

    def _in_order(self, tests: Iterable[str]) -> list[str]:
        """First the quickest of each file, then the next of each, and so on."""
        by_file: defaultdict[str, list[str]] = defaultdict(list)
        for test in sorted(tests, key=lambda test: (self._took_s[test], test)):
            by_file[test.split("::")[0]].append(test)
        return [test for row in zip_longest(*by_file.values()) for test in row if test is not None]

    def _try(self, trials: Sequence[Trial], way: Way, jobs: int, times: int) -> list[Trial]:
        """Try these; those that hang, from the test on that does."""

        def limit_s(test: str) -> float:
            return times * max(self._took_s.get(test, _BEFORE_TESTS_S), self._least_s)

        hung = []
        work = in_forks(trials, jobs, lambda trial, pipe: way(self, trial, pipe), limit_s)
        for number, (trial, code, said) in enumerate(work, 1):
            outcome, at = OUTCOMES.get(code, "died"), said[-1] if said else ""
            if outcome == "hung":
                outcome = "hung again" if times == AGAIN else "hung"
                hung.append(Trial(trial.mutant, trial.tests[trial.tests.index(at) if at else 0 :]))
            self.outcomes[trial.mutant] = outcome
            print(f"{number}/{len(trials)} {outcome} {trial.mutant.name} [{at}]", flush=True)
        return hung

    def _swapped(self, trial: Trial, pipe: TextIO) -> int:
        """Put the changed code into the functions that are there."""
        unchanged, changed = map(by_first_line, trial.mutant.compiled())
        if unchanged == changed:
            return _EQUIVALENT
        found = [
            (function, new)
            for place in changed
            for old, new in zip(unchanged[place], changed[place], strict=False)  # two lambdas may be in one line
            for function in self._functions[place]
            if new != old == function.__code__
        ]
        are_pairs = all(len(unchanged[place]) == len(changed[place]) for place in changed)
        have_room = all(len(function.__code__.co_freevars) == len(new.co_freevars) for function, new in found)
        if not (found and are_pairs and have_room):
            return _NOT_PUT_IN_PLACE
        for function, new in found:
            function.__code__ = new
        return 0 if all(has_passed for _, has_passed in self._run(trial.tests, pipe)) else 1

    def _imported_anew(self, trial: Trial, pipe: TextIO) -> int:
        """Import the changed source in place of what is there."""
        for name in [name for name in sys.modules if name.split(".")[0] in (PACKAGE.name, "tests", "conftest")]:
            del sys.modules[name]
        unchanged, (_, changed) = SourceFileLoader.get_code, trial.mutant.compiled()

        def get_code(loader: SourceFileLoader, fullname: str) -> CodeType | None:
            return changed if Path(loader.path) == trial.mutant.path else unchanged(loader, fullname)

        SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]
        return int(pytest.main([*PYTEST, "-x", *trial.tests], plugins=[Anew(pipe)]))


class Anew(_AlikeDrawn):
    """A plugin of pytest that says which test it is at."""

    def __init__(self, pipe: TextIO) -> None:
        self._pipe = pipe

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say it."""
        print(nodeid, file=self._pipe)


def main() -> int:
    """Draw a sample, try it, and tell what became of it."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("paths", nargs="+", type=Path, help="modules or folders of the package")
    arguments.add_argument("--sample", type=int, help="so many of the mutants; all, if left out")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--jobs", type=int, default=2)
    arguments.add_argument("--tests", nargs="+", help="what pytest is given, if not the tests of the rooms")
    arguments.add_argument("--only", nargs="+", default=[""], help="those alone whose name has one of these in it")
    arguments.add_argument("--most", type=int, help="try so many of the tests that call a function; all, if left out")
    arguments.add_argument("--least", type=float, default=2.0, help="seconds: no test is taken for quicker than that")
    given = arguments.parse_args()
    paths = [path.resolve() for path in given.paths]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    known = {line.split(" # ")[0] for line in EQUIVALENT.read_text().splitlines()}
    found = [mutant for file in files for mutant in mutants(file) if any(part in mutant.name for part in given.only)]
    everyone = [mutant for mutant in found if mutant.name not in known]
    size = len(everyone) if given.sample is None else min(given.sample, len(everyone))
    chosen = random.Random(given.seed).sample(everyone, size)  # all of them too: those tried first are a sample
    print(f"{len(everyone)} mutants in {len(files)} modules, and {len(found) - len(everyone)} that no test can see")
    rooms = dict.fromkeys(file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in files)
    own = {room: [f"tests/{room}"] if (ROOT / "tests" / room).is_dir() else ["tests"] for room in rooms}
    tests = given.tests or [argument for room in rooms for argument in TESTS.get(room, own[room])]
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    trials = Trials(chosen, given.jobs, given.least, given.most)
    pytest.main([*PYTEST, *tests], plugins=[trials])
    for mutant, outcome in trials.outcomes.items():
        if outcome not in ("died", "hung again", "equivalent"):
            print(f"{outcome}: {mutant.name} (line {mutant.line})")
    told = Counter(trials.outcomes.values())  # fewer than were chosen, if it was interrupted
    dead, of = told["died"] + told["hung again"], told.total() - told["equivalent"]
    print(", ".join(f"{outcome} {count}" for outcome, count in told.most_common()))
    print(f"dead: {dead} of {of} ({dead / max(of, 1):.1%})")
    return 0 if trials.outcomes else 1


if __name__ == "__main__":
    sys.exit(main())
