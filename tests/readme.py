"""The README and the guides, taken apart by their markers, so that what they say can be run and compared.

Rules
1. ``<!-- snippet: NAME -->`` and a ``python`` block under it: a program. It defines ``async def main(...)``, whose
   defaults are what a reader would use, and runs it only under ``__name__ == "__main__"``. A driver of the same name in
   ``tests/real/readme_drivers.py`` runs ``main`` against a real peer.
2. ``<!-- command: NAME -->`` and a ``sh`` block under it: one line, run by ``.ci/run``.
3. ``<!-- figures: FILE -->`` up to ``<!-- /figures -->``: text that the benchmark suite wrote from that results file.
4. A ``python`` block of a guide without a marker is run by ``tests/docs/test_guides.py``, in virtual time.
"""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "trio_transports" / "docs" / "guides").glob("*.md"))

_BLOCK = r"<!-- {kind}: (?P<name>\S+) -->\n+```{language}\n(?P<text>.*?)^```$"


def _blocks(kind: str, language: str) -> dict[str, str]:
    pattern = re.compile(_BLOCK.format(kind=kind, language=language), re.DOTALL | re.MULTILINE)
    found: dict[str, str] = {}
    for document in (README, *GUIDES):
        for match in pattern.finditer(document.read_text(encoding="utf-8")):
            assert match["name"] not in found, f"{document.name}: a second block is marked {kind}: {match['name']}"
            found[match["name"]] = match["text"]
    return found


def unmarked(guide: Path) -> list[str]:
    """The ``python`` blocks of a guide that no marker names."""
    text = guide.read_text(encoding="utf-8")
    return re.findall(r"(?<!-->\n)^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


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


def write_all(folder: Path) -> list[Path]:
    """Write every program of the README and the guides into a folder, for the type checkers."""
    written = [write(snippet, folder) for snippet in snippets()]
    for guide in GUIDES:
        for number, text in enumerate(unmarked(guide), 1):
            path = folder / f"guide_{guide.stem}_{number}.py"
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


if __name__ == "__main__":
    for path in write_all(Path(sys.argv[1])):
        print(path)
