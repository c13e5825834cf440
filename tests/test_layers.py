"""The order in which the packages build on each other: a module imports only from its own layer and those below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "trio_transports"
ROOT = Path(__file__).parents[1] / PACKAGE

# From the ground up. What is written first knows nothing of what comes after it.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "_extras", "_lazy", "_offers", "_showing", "_documented", "_moved"),
    ("audio", "vad", "video"),
    ("frames",),
    ("serializers",),
    ("params",),
    ("_nursery", "_sleeper", "wire"),
    ("session",),
    ("transports", "hosting"),
    ("bus", "agent", "pipeline", "telephony", "observe"),
    ("testing", "playground", "demo", "serve", "docs", "cli", "__main__", "examples"),
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS, 1) for name in names}
THE_PACKAGE = len(LAYERS)
"""Where the package's own names stand (what its ``__init__`` re-exports, the version): only applications use those."""
WITHOUT_TRIO = (*LAYERS[0], "frames", "audio", "vad", "video", "serializers")
TRIO = ("trio", "trio_websocket", "hypercorn")


def modules() -> list[tuple[str, ...]]:
    """Every module as the parts of its name below the package; a package's own is its parts alone."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append(parts[:-1] if parts[-1] == "__init__" else parts)
    return [parts for parts in found if parts]  # the root re-exports everything


def path_of(module: tuple[str, ...]) -> Path:
    path = ROOT.joinpath(*module)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(module: tuple[str, ...], source: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """The line and full name of everything imported, wherever in the module and whether relative or not."""
    here = (PACKAGE, *module)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            parents = here[: len(here) - node.level + is_package] if node.level else ()
            named = tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                yield node.lineno, ".".join((*parents, *named, alias.name))


def wrong_imports(module: tuple[str, ...], source: str, *, is_package: bool) -> list[str]:
    """What is imported that this module may not know of."""
    layer = LAYER_OF[module[0]]
    wrong = []
    for line, name in imports(module, source, is_package=is_package):
        parts = name.split(".")
        where = f"{'.'.join((PACKAGE, *module))}, line {line}"
        if parts[0] == PACKAGE:
            below = LAYER_OF.get(parts[1], THE_PACKAGE) if len(parts) > 1 else THE_PACKAGE
            if below > layer:
                wrong.append(f"{where}: imports {name}, which is layer {below} and stands on this one, layer {layer}")
        elif module[0] in WITHOUT_TRIO and parts[0] in TRIO:
            wrong.append(f"{where}: imports {name}, and this layer does without trio")
    return wrong


@pytest.mark.parametrize("layer", range(1, len(LAYERS) + 1))
def test_no_module_imports_downwards(layer: int) -> None:
    """A module imports nothing that stands on it, not even inside a function or for type checking."""
    wrong = []
    for module in modules():
        if LAYER_OF.get(module[0]) == layer:
            path = path_of(module)
            wrong += wrong_imports(module, path.read_text("utf-8"), is_package=path.name == "__init__.py")
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_module_has_a_layer() -> None:
    """A new package has to be given its place in LAYERS before anything can be said of it."""
    assert sorted({module[0] for module in modules()} - set(LAYER_OF)) == []
    assert sorted(name for name in LAYER_OF if not path_of((name,)).exists()) == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        (("audio", "wav"), "from ..frames import AudioFrame", "layer 3"),
        (("audio", "wav"), "import trio_transports.wire.peer", "layer 6"),
        (("audio", "wav"), "from .. import session", "layer 7"),
        (("frames",), "from .params import TransportParams", "layer 5"),
        (("wire", "memory"), "def f():\n    from ..session.session import Session", "line 2: imports"),
        (("wire", "memory"), "from trio_transports import Session", "layer 10"),
        (("vad", "machine"), "import trio", "without trio"),
        (("serializers", "json"), "from trio.lowlevel import checkpoint", "without trio"),
    ],
)
def test_the_walk_finds_what_is_wrong(module: tuple[str, ...], source: str, expected: str) -> None:
    """Each way of writing a downward import is found."""
    (found,) = wrong_imports(module, source, is_package=False)
    assert expected in found


def test_the_walk_allows_what_is_right() -> None:
    """Imports from below, from the same layer and from elsewhere pass, in a package's own module too."""
    assert not wrong_imports(("audio", "wav"), "from .format import AudioFormat\nimport json", is_package=False)
    assert not wrong_imports(("session", "run"), "from ..wire.protocol import Wire\nimport trio", is_package=False)
    assert not wrong_imports(("audio",), "from .format import AudioFormat\nfrom ..errors import X", is_package=True)
