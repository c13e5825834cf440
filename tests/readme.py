"""The README, taken apart by its markers, so that what it says can be run and compared.

Rules
1. ``<!-- snippet: NAME -->`` and a ``python`` block under it: a program. It defines ``async def main(...)``, whose
   defaults are what a reader would use, and runs it only under ``__name__ == "__main__"``. A driver of the same name in
   ``tests/real/readme_drivers.py`` runs ``main`` against a real peer.
2. ``<!-- command: NAME -->`` and a ``sh`` block under it: one line, run by ``.ci/run``.
3. ``<!-- figures: FILE -->`` up to ``<!-- /figures -->``: text that the benchmark suite wrote from that results file.
"""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"

_BLOCK = r"<!-- {kind}: (?P<name>\S+) -->\n+```{language}\n(?P<text>.*?)^```$"


def _blocks(kind: str, language: str) -> dict[str, str]:
    pattern = re.compile(_BLOCK.format(kind=kind, language=language), re.DOTALL | re.MULTILINE)
    found: dict[str, str] = {}
    for match in pattern.finditer(README.read_text(encoding="utf-8")):
        assert match["name"] not in found, f"README.md has two blocks marked {kind}: {match['name']}"
        found[match["name"]] = match["text"]
    return found


def snippets() -> dict[str, str]:
    return _blocks("snippet", "python")


def commands() -> dict[str, str]:
    return _blocks("command", "sh")


def figures() -> list[tuple[Path, str]]:
    """Each results file with the text that is said to come from it."""
    pattern = re.compile(r"<!-- figures: (\S+) -->\n(.*?)<!-- /figures -->", re.DOTALL)
    return [(ROOT / file, text) for file, text in pattern.findall(README.read_text(encoding="utf-8"))]


def write(name: str, folder: Path) -> Path:
    path = folder / f"readme_{name}.py"
    path.write_text(snippets()[name], encoding="utf-8")
    return path


def load(name: str, folder: Path) -> ModuleType:
    """A snippet as a module, from a file of its own so that tracebacks show its lines."""
    path = write(name, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":  # write every snippet into a folder, for the type checker
    for snippet in snippets():
        print(write(snippet, Path(sys.argv[1])))
