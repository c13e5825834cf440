"""Our direct server with every place taken out at which somebody could listen in: what such places cost, unused.

Rules
1. The statements that ask a session for its taps are left out as its modules are compiled; everything else is as it is.
2. What was compiled so is kept in memory alone: no cache has it, none is read.
3. A module that has lost nothing ends the program: it would show that the places cost nothing, whatever they cost.
"""

import ast
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Final, final

MODULES: Final = frozenset(
    f"trio_transports.session.{name}"
    for name in ("delivery", "departure", "inbound", "outbound", "output", "peer_words", "user_speech")
)
_NAMES: Final = frozenset({"taps", "_taps"})


def _asks_for_taps(expression: ast.expr) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr in _NAMES for node in ast.walk(expression))


@final
class _WithoutTaps(ast.NodeTransformer):
    """Takes out ``if self._taps: ...`` and ``for tap in self.taps: ...``, and counts what it took."""

    def __init__(self) -> None:
        self.taken = 0

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if _asks_for_taps(node.test) and not node.orelse:
            self.taken += 1
            return None
        return self.generic_visit(node)

    def visit_For(self, node: ast.For) -> ast.AST | None:
        if isinstance(node.target, ast.Name) and node.target.id == "tap":
            self.taken += 1
            # ``tell_taps`` is nothing else, and is called no more.
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)


@final
class _Loader(SourceFileLoader):
    def path_stats(self, path: str) -> dict[str, float]:
        raise OSError(f"{path} is compiled anew")  # rule 2: without its time no cache is read or written

    def source_to_code(self, data: object, path: object, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        tree, without = ast.parse(data), _WithoutTaps()  # type: ignore[call-overload]
        tree = ast.fix_missing_locations(without.visit(tree))
        if not without.taken:
            raise SystemExit(f"{self.name} asks for no taps: name the module that does")
        code: CodeType = compile(tree, str(path), "exec", dont_inherit=True, optimize=_optimize)
        return code


@final
class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in MODULES else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


def take_out_taps() -> None:
    """From now on; before a session's modules are imported."""
    if early := MODULES & set(sys.modules):
        raise SystemExit(f"{', '.join(sorted(early))} was imported with its taps")
    sys.meta_path.insert(0, _Finder())


if __name__ == "__main__":
    take_out_taps()
    import trio

    from .ours_server import main

    trio.run(main, "direct")
