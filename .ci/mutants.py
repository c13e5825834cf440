"""What a small change of the code may be: every mutant of a module, for ``mutate.py``.

A mutant is one change at one place in a function: a comparison turned, an operator swapped, a condition negated, a
constant moved, a call left out, a return value replaced, ``min`` for ``max``.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parents[1]

_TURNED: tuple[tuple[type[ast.cmpop], type[ast.cmpop]], ...] = (
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
)
COMPARISONS = {old: new for pair in _TURNED for old, new in (pair, pair[::-1])}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}


@dataclass(frozen=True, eq=False)
class Mutant:
    """One change: ``name`` says where and what, and stays the same while lines move."""

    path: Path
    name: str
    line: int
    module: ast.Module
    old: ast.AST
    new: ast.AST

    @property
    def place(self) -> str:
        """The function that is changed, as ``place_of`` names it."""
        return self.name.split(": ")[0]

    def compiled(self) -> tuple[CodeType, CodeType]:
        """The module as it is, and changed; what they are made of is good for nothing else afterwards."""
        unchanged = compile(self.module, str(self.path), "exec", dont_inherit=True)
        _Replace(self.old, self.new).visit(self.module)
        ast.fix_missing_locations(self.module)
        return unchanged, compile(self.module, str(self.path), "exec", dont_inherit=True)


def place_of(code: CodeType) -> str:
    """Where a function is, as it stands in a mutant's name."""
    return f"{Path(code.co_filename).relative_to(ROOT)}:{code.co_qualname.replace('.<locals>', '')}"


def _with(node: ast.AST, **parts: object) -> ast.AST:
    new = copy.copy(node)
    for name, part in parts.items():
        setattr(new, name, part)
    return new


def change(node: ast.AST) -> tuple[str, ast.AST] | None:
    """What might stand in place of this node, and in words.

    What is left out stays where it is never reached: a function keeps its free variables, and can be put in place.
    """
    new: ast.AST
    match node:
        case ast.UnaryOp(op=ast.Not()):
            return f"{ast.unparse(node)} without its not", node.operand
        case ast.Expr(value=ast.Call() | ast.Await()):
            return f"{ast.unparse(node)} is left out", ast.If(ast.Constant(False), [node], [])
        case ast.Return(value=ast.expr() as value) if ast.unparse(node) != "return None":
            nothing = ast.IfExp(ast.Constant(False), value, ast.Constant(None))
            return f"{ast.unparse(node)} gives nothing", ast.Return(nothing)
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            new = _with(node, ops=[COMPARISONS[type(op)]()])
        case ast.BinOp(left=ast.Constant() | ast.JoinedStr()):
            return None
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS:
            new = _with(node, op=OPERATORS[type(op)]())
        case ast.BoolOp(op=op):
            new = _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.Constant(value=bool() as value):
            new = ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            new = ast.Constant(value + 1)
        case ast.Call(func=ast.Name(id="min" | "max" as name)):
            new = _with(node, func=ast.Name("max" if name == "min" else "min", ast.Load()))
        case _:
            return None
    return f"{ast.unparse(node)} becomes {ast.unparse(new)}", new


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
        yield from walk(ast.Module([statement], []), name)


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of one module."""
    module = ast.parse(path.read_text())
    for function, node in walk(module, ""):
        if changed := change(node):
            name = f"{path.relative_to(ROOT)}:{function}: {changed[0]}"
            yield Mutant(path, name, getattr(node, "lineno", 0), module, node, changed[1])
