"""Change the code a little, and see whether a test notices: ``python .ci/mutate.py trio_transports/session``.

Rules
1. A mutant is one change at one place: a comparison turned, an operator swapped, a condition negated, a constant moved,
   a call left out, a return value replaced, ``min`` for ``max``.
2. It is dead when a test fails, when the tests hang, or when the module cannot be imported. It survives when all pass.
   Those that hang are told apart: on a busy machine they may only have been slow.
3. Each mutant runs in a process of its own, forked when everything but this package is imported: there the import of
   its module gives the changed source, and nothing is written. First come the few tests that ``NEAR`` names for its
   module, then, where those pass, the ones of its whole room. A program that a test starts is not changed.
   With ``--reached``, a file that ``reached.py`` wrote, they are instead the tests that call the changed function,
   first the quickest of each file; where none calls it, it survives.
4. A sample is drawn by a seed, so that a run can be repeated. Survivors that no test can see are listed, each with its
   reason, in ``.ci/equivalent_mutants.txt``, and are left out of the count.
"""

import argparse
import ast
import copy
import importlib
import json
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from itertools import zip_longest
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = ROOT / ".ci" / "equivalent_mutants.txt"

TESTS = {
    "session": ["tests/session"],
    "wire": ["tests/wire", "tests/foundation", "tests/session"],
    "audio": ["tests/audio", "tests/foundation", "tests/session"],
    "video": ["tests/video", "tests/session"],
    "hosting": ["tests/hosting", "tests/real/asgi"],
    "transports": ["tests/session", "tests/real/session"],
    "bus": ["tests/bus"],
    "serializers": ["tests/serializers"],
    "telephony": ["tests/telephony"],
    "pipeline": ["tests/pipeline"],
    "agent": ["tests/agent"],
}

_HEARING = [
    *(f"tests/session/test_inbound{part}.py" for part in ("", "_bounds", "_formats", "_destinations", "_any_audio")),
    *(f"tests/session/test_inbound_{part}.py" for part in ("speech", "inbox", "threads")),
    "tests/session/test_eye.py",
    "tests/session/test_jitter.py",
    "tests/session/test_opus_losses.py",
    "tests/session/test_turn_end.py",
]
_PACING = ["tests/audio/test_recovery.py", "tests/foundation/test_schedule.py"]
_QUICK_SESSION = [
    "tests/session",
    *(f"--ignore=tests/session/test_{part}.py" for part in ("stalls", "cancellation_sweep", "model", "farewell")),
    "--deselect=tests/session/test_clock.py::test_ten_minutes_with_stalls_take_ten_minutes",
    "--deselect=tests/session/test_heard.py::test_the_position_is_the_phones",
    "--deselect=tests/session/test_heard.py::test_the_position_is_the_phones_above_a_bed",
]
"""A fifth of the time that all of its tests take."""

_FRAMING = [
    *(f"tests/foundation/test_{part}.py" for part in ("rfc6455", "upgrade", "closing")),
    "tests/wire/test_contract.py",
]
NEAR = {
    "hosting": [
        "tests/hosting",
        *(f"tests/real/asgi/test_asgi_{part}.py" for part in ("contract", "strict", "short_way")),
    ],
    "bus/outbox": ["tests/bus/test_outbox.py", "tests/bus/test_proxy.py"],
    "bus/subscription": ["tests/bus/test_local_bus.py"],
    "bus/codec": ["tests/bus/test_serializer.py"],
    "wire/rfc6455": _FRAMING,
    "wire/stream": _FRAMING,
    "wire/descriptor": _FRAMING,
    "wire/reads": _FRAMING,
    "wire/writes": _FRAMING,
    "wire/memory": _FRAMING,
    "wire/upgrade": _FRAMING,
    "wire/accepting": ["tests/wire/accepting"],
    "wire/asgi": ["tests/wire"],
    "audio/pacing": _PACING,
    "audio/recovery": _PACING,
    "session/inbound": _HEARING,
    "session/malformed": _HEARING,
    "session/delivery": _HEARING,
    "session/peer_words": _HEARING,
    "session/user_speech": _HEARING,
    "session/ear": _HEARING,
    "session/eye": ["tests/session/test_eye.py"],
    "session/in_order": ["tests/session/test_jitter.py", "tests/session/test_opus_losses.py"],
    "session/jitter": ["tests/session/test_jitter.py", "tests/session/test_opus_losses.py"],
    "session/unread": _HEARING,
    "session": _QUICK_SESSION,
    "serializers/lines": [
        *(f"tests/serializers/test_{part}.py" for part in ("lines", "other_lines", "telephony", "opus", "detect")),
        "tests/session/test_lines_ask.py",
    ],
}
"""The first tests for a module, by the beginning of its name."""

_FIRST_TESTS = 100
"""So many of the tests that reach a function are tried before the others."""

PRELOADED = (
    "av",
    "attrs",
    "cattrs",
    "hypercorn",
    "hypothesis",
    "numpy",
    "orjson",
    "PIL.Image",
    "pytest",
    "trio.testing",
)
PRELOADED += ("trio_websocket", "wsproto", "h2", "msgpack", "google.protobuf", "fastapi", "pybase64", "xdist")

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}


@dataclass(frozen=True)
class Mutant:
    """One change: ``name`` says where and what, and stays the same while lines move."""

    path: Path
    name: str
    line: int
    source: str


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every other node that might stand in place of this one."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            new = copy.deepcopy(node)
            new.ops = [COMPARISONS[type(op)]()]
            yield f"{ast.unparse(node)} becomes {ast.unparse(new)}", new
        case ast.BinOp(op=op) if type(op) in OPERATORS and not isinstance(node.left, ast.Constant | ast.JoinedStr):
            new = copy.deepcopy(node)
            new.op = OPERATORS[type(op)]()
            yield f"{ast.unparse(node)} becomes {ast.unparse(new)}", new
        case ast.BoolOp():
            other = copy.deepcopy(node)
            other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield f"{ast.unparse(node)} becomes {ast.unparse(other)}", other
        case ast.UnaryOp(op=ast.Not()):
            yield f"{ast.unparse(node)} without its not", node.operand
        case ast.Constant(value=bool()):
            yield f"{node.value} becomes {not node.value}", ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield f"{node.value} becomes {node.value + 1}", ast.Constant(node.value + 1)
        case ast.AugAssign(op=op) if type(op) in OPERATORS:
            augmented = copy.deepcopy(node)
            augmented.op = OPERATORS[type(op)]()
            yield f"{ast.unparse(node)} becomes {ast.unparse(augmented)}", augmented
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield f"{ast.unparse(node)} is left out", ast.Pass()
        case ast.Return(value=ast.expr()) if ast.unparse(node) != "return None":
            yield f"{ast.unparse(node)} gives nothing", ast.Return(ast.Constant(None))
        case ast.Call(func=ast.Name(id="min" | "max" as name)):
            call = copy.deepcopy(node)
            call.func = ast.Name("max" if name == "min" else "min", ast.Load())
            yield f"{ast.unparse(node)} becomes {ast.unparse(call)}", call


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.copy_location(self.new, node) if node is self.old else super().visit(node)


def walk(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    """Nodes inside functions, with the name of the function; annotations and messages of errors are left alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{function}.{child.name}".lstrip(".")
            for statement in child.body:
                yield from (
                    ((inner, statement), *walk(statement, inner))
                    if not isinstance(child, ast.ClassDef)
                    else walk_class(statement, inner)
                )
        elif not isinstance(child, ast.arguments | ast.Raise | ast.Assert | ast.JoinedStr):
            if function:
                yield function, child
            yield from walk(child, function)


def walk_class(statement: ast.stmt, name: str) -> Iterator[tuple[str, ast.AST]]:
    """Methods of a class; its fields are values, not behaviour."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        module = ast.Module([statement], [])
        yield from walk(module, name)


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of one module."""
    tree = ast.parse(path.read_text())
    for function, node in list(walk(tree, "")):
        for what, new in changes(node):
            changed = _Replace(node, new).visit(tree)
            source = ast.unparse(ast.fix_missing_locations(changed))
            name = f"{path.relative_to(ROOT)}:{function}: {what}"
            yield Mutant(path, name, getattr(node, "lineno", 0), source)
            _Replace(new, node).visit(tree)


def tests_for(path: Path) -> list[list[str]]:
    """The tests that stand for a module: those near to it, then those of its room."""
    name = path.relative_to(ROOT / "trio_transports").with_suffix("").as_posix()
    near = [tests for beginning, tests in NEAR.items() if name.startswith(beginning)]
    return [*near, TESTS.get(name.split("/")[0], ["tests"])]


def tests_reaching(mutant: Mutant, reached: Mapping[str, Sequence[tuple[float, str]]]) -> list[list[str]]:
    """The tests that call the changed function, or one inside it: first the quickest of each file, and so on."""
    place = mutant.name.split(": ")[0]
    called = {
        test: took_s
        for name, tests in reached.items()
        if (name + ".").startswith(place + ".")
        for took_s, test in tests
    }
    by_file: defaultdict[str, list[str]] = defaultdict(list)
    for test in sorted(called, key=lambda test: called[test]):
        by_file[test.split("::")[0]].append(test)
    rows = zip_longest(*by_file.values())
    ordered = [test for row in rows for test in row if test is not None]
    return [part for part in (ordered[:_FIRST_TESTS], ordered[_FIRST_TESTS:]) if part]


def preload() -> None:
    """Import what every run needs and no mutant changes."""
    for name in PRELOADED:
        with suppress(ImportError):
            importlib.import_module(name)


def run_changed(mutant: Mutant, tests: Sequence[str]) -> int:
    """Run these tests on the changed source, in a process that is good for nothing else afterwards."""
    import pytest

    os.setpgid(0, 0)  # not a session: where the kernel groups by session, it would lose the priority of the whole
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    unchanged = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, fullname: str) -> CodeType | None:
        if Path(loader.path) == mutant.path:
            return compile(mutant.source, str(mutant.path), "exec", dont_inherit=True)
        return unchanged(loader, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]
    options = ["-x", "-q", "--no-header", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return int(
        pytest.main(
            [*options, *(test for test in tests if test.startswith("-") or (ROOT / test.split("::")[0]).exists())]
        )
    )


def start(mutant: Mutant, tests: Sequence[str]) -> int:
    """Fork, and return the process's number."""
    child = os.fork()
    if child:
        return child
    outcome = 1
    try:
        outcome = run_changed(mutant, tests)
    except BaseException:  # whatever it was, the mutant has not passed
        outcome = 1
    finally:
        os._exit(outcome)


def unfit(file: Path, firsts: set[tuple[str, ...]], timeout_s: float) -> list[str]:
    """The first of these lists of tests that does not pass on the unchanged source."""
    for tests in firsts:
        unchanged = Mutant(file, "nothing changed", 0, file.read_text())
        child, until_s = start(unchanged, tests), time.monotonic() + timeout_s
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > until_s:
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.05)
        if os.waitstatus_to_exitcode(ended[1]) != 0:
            return list(tests)
    return []


def survivors(
    chosen: Sequence[Mutant], jobs: int, timeout_s: float, tests: Callable[[Mutant], list[list[str]]]
) -> Iterator[Mutant]:
    """Try each, so many at a time; those that pass all of their tests."""
    unreached = [mutant for mutant in chosen if not tests(mutant)]
    for mutant in unreached:
        print(f"SURVIVED {mutant.name} (no test calls it)", flush=True)
        yield mutant
    waiting = [(mutant, stages) for mutant in chosen if (stages := tests(mutant))]
    running: dict[int, tuple[Mutant, list[list[str]], float]] = {}
    done = len(unreached)
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant, stages = waiting.pop(0)
            running[start(mutant, stages[0])] = (mutant, stages[1:], time.monotonic() + timeout_s)
        child, status = os.waitpid(-1, os.WNOHANG)
        if child in running:
            mutant, later, _ = running.pop(child)
            code = os.waitstatus_to_exitcode(status)
            passed = code == 0
            if passed and later:
                waiting.insert(0, (mutant, later))
                continue
            done += 1
            endings = {0: "SURVIVED", -signal.SIGKILL: "hung", 4: "died before any test:"}
            outcome = endings.get(code, "died")
            print(f"{done}/{len(chosen)} {outcome} {mutant.name}", flush=True)
            if passed:
                yield mutant
        for number, (_, _, until_s) in running.items():
            if time.monotonic() > until_s:
                with suppress(ProcessLookupError):
                    os.killpg(number, signal.SIGKILL)
        time.sleep(0.05)


def main() -> int:
    """Draw a sample, try it, and tell who survived."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("paths", nargs="+", type=Path, help="modules or folders of the package")
    arguments.add_argument("--sample", type=int, default=40)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--jobs", type=int, default=2)
    arguments.add_argument("--timeout", type=float, default=240.0, help="seconds; a mutant that hangs is dead")
    arguments.add_argument("--near", action="store_true", help="the near tests only: quick, and more survive")
    arguments.add_argument("--reached", type=Path, help="what reached.py wrote: the tests that call the function")
    arguments.add_argument("--only", default="", help="those alone whose name has this in it")
    given = arguments.parse_args()
    paths = [path.resolve() for path in given.paths]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    known = {line.split(" # ")[0] for line in EQUIVALENT.read_text().splitlines()} if EQUIVALENT.exists() else set()
    everyone = [mutant for file in files for mutant in mutants(file) if mutant.name not in known]
    everyone = [mutant for mutant in everyone if given.only in mutant.name]
    chosen = random.Random(given.seed).sample(everyone, min(given.sample, len(everyone)))
    print(f"{len(everyone)} mutants in {len(files)} modules; {len(chosen)} are tried", flush=True)
    preload()
    reached = json.loads(given.reached.read_text()) if given.reached else {}

    def tests(mutant: Mutant) -> list[list[str]]:
        if reached:
            return tests_reaching(mutant, reached)[: 1 if given.near else None]
        return tests_for(mutant.path)[: 1 if given.near else None]

    # Those that reach a function have all passed: ``reached.py`` writes of no others.
    firsts = set() if reached else {tuple(tests_for(mutant.path)[0]) for mutant in chosen}
    if failing := unfit(files[0], firsts, given.timeout):
        print(f"nothing can be told of a mutant: unchanged, these fail or hang: {' '.join(failing)}")
        return 1
    lived = list(survivors(chosen, given.jobs, given.timeout, tests))
    for mutant in lived:
        print(f"SURVIVED {mutant.name} (line {mutant.line})")
    print(f"{len(chosen) - len(lived)} of {len(chosen)} died ({1 - len(lived) / max(1, len(chosen)):.0%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
