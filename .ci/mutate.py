"""Change the code a little, and see whether a test notices: ``python .ci/mutate.py trio_transports/session``.

Rules
1. A mutant is one change at one place: a comparison turned, an operator swapped, a condition negated, a constant moved,
   a call left out, a return value replaced, ``min`` for ``max``.
2. It is dead when a test fails, when the tests hang, or when the module cannot be imported. It survives when all pass.
3. Each mutant runs in a copy of the tree of its own, with the tests that ``TESTS`` names for its room.
4. A sample is drawn by a seed, so that a run can be repeated. Survivors that no test can see are listed, each with its
   reason, in ``.ci/equivalent_mutants.txt``, and are left out of the count.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = ROOT / ".ci" / "equivalent_mutants.txt"

TESTS = {
    "session": ["tests/session", "tests/transports"],
    "wire": ["tests/wire", "tests/foundation", "tests/session", "tests/transports"],
    "audio": ["tests/audio", "tests/session"],
    "video": ["tests/video", "tests/session"],
    "hosting": ["tests/hosting", "tests/real/asgi"],
    "transports": ["tests/transports", "tests/session", "tests/real/session"],
    "bus": ["tests/bus"],
    "serializers": ["tests/serializers"],
    "telephony": ["tests/telephony"],
    "pipeline": ["tests/pipeline"],
    "agent": ["tests/agent"],
}

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


def tests_for(path: Path) -> list[str]:
    """The tests that stand for a module's room."""
    room = path.relative_to(ROOT / "trio_transports").parts[0]
    return [test for test in TESTS.get(room, ["tests"]) if (ROOT / test).exists()]


def survives(mutant: Mutant, timeout_s: float) -> bool:
    """Whether all tests pass with this change."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        for name in ("trio_transports", "tests", "benchmarks"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, tree / name)
        (tree / mutant.path.relative_to(ROOT)).write_text(mutant.source)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "--no-header",
            "-p",
            "no:cacheprovider",
            *tests_for(mutant.path),
        ]
        environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, cwd=tree, env=environment, capture_output=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


def main() -> int:
    """Draw a sample, try it, and tell who survived."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("paths", nargs="+", type=Path, help="modules or folders of the package")
    arguments.add_argument("--sample", type=int, default=40)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--jobs", type=int, default=2)
    arguments.add_argument("--timeout", type=float, default=240.0, help="seconds; a mutant that hangs is dead")
    given = arguments.parse_args()
    files = [file for path in given.paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    known = {line.split(" # ")[0] for line in EQUIVALENT.read_text().splitlines()} if EQUIVALENT.exists() else set()
    everyone = [mutant for file in files for mutant in mutants(file.resolve()) if mutant.name not in known]
    chosen = random.Random(given.seed).sample(everyone, min(given.sample, len(everyone)))
    print(f"{len(everyone)} mutants in {len(files)} modules; {len(chosen)} are tried", flush=True)
    with ThreadPoolExecutor(given.jobs) as pool:
        outcomes = list(pool.map(lambda mutant: survives(mutant, given.timeout), chosen))
    survivors = [mutant for mutant, lives in zip(chosen, outcomes, strict=True) if lives]
    for mutant in survivors:
        print(f"SURVIVED {mutant.name} (line {mutant.line})")
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} died ({1 - len(survivors) / max(1, len(chosen)):.0%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
