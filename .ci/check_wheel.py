"""Check a wheel from inside a clean environment that holds it and what it pulled in: ``check_wheel.py TREE WHEEL``.

Rules
1. It declares the six core packages, and installing it brought none that only an extra brings.
2. It holds every file of the package that the tree has: ``py.typed`` and the demo's page are data, easily forgotten.
3. Its licence stands in it as a text of its own, and in its metadata by its name.
4. Importing it loads no package of an extra, and takes at most 1.3 times ``import trio, numpy, trio_websocket``.
"""

import re
import statistics
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

CORE = {"trio", "trio-websocket", "hypercorn", "attrs", "cattrs", "numpy"}
BASELINE = "trio, numpy, trio_websocket"
ROUNDS = 9
AT_MOST = 1.3


def name_of(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def needed_by(names: set[str]) -> set[str]:
    """These packages and all that they require themselves, without extras."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # for another platform or Python
            continue
        waiting += [name_of(requirement) for requirement in requirements if "extra ==" not in requirement]
    return seen


def check_packages(tree: Path) -> None:
    declared = {name_of(text) for text in metadata.requires("trio-transports") or [] if "extra ==" not in text}
    assert declared == CORE, f"the wheel declares {sorted(declared)}, not the core packages {sorted(CORE)}"
    installed = {name_of(found.name) for found in metadata.distributions()} - {"pip", "setuptools", "wheel"}
    stray = installed - needed_by(CORE) - {"trio-transports"}
    assert not stray, f"installed beside the core packages: {sorted(stray)}"
    extras = tomllib.loads((tree / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    of_extras = {name_of(text) for texts in extras.values() for text in texts} - {"trio-transports"}
    assert not installed & of_extras, f"packages of an extra are installed: {sorted(installed & of_extras)}"
    print("installed:", ", ".join(sorted(installed)))


def check_files(tree: Path, wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "-C", str(tree), "ls-files", "trio_transports"], capture_output=True, text=True, check=True
    )
    held = set(zipfile.ZipFile(wheel).namelist())
    lost = set(listed.stdout.split("\n")) - {""} - held
    assert not lost, f"not in the wheel: {sorted(lost)}"
    foreign = {name for name in held if not name.startswith("trio_transports")}
    assert not foreign, f"in the wheel, but not of the package: {sorted(foreign)}"
    texts = [name for name in held if name.endswith("LICENSE")]
    assert len(texts) == 2, f"the licence is to be in the package and in its metadata, not in {texts}"
    told = metadata.metadata("trio-transports")
    assert told["License-Expression"] == "MIT", told["License-Expression"]
    assert told.get_all("License-File") == ["trio_transports/LICENSE"], told.get_all("License-File")
    print("files:", len(held))


def import_seconds(names: str) -> float:
    code = f"import time; began = time.perf_counter(); import {names}; print(time.perf_counter() - began)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def check_import() -> None:
    origin = subprocess.run(
        [sys.executable, "-c", "import trio_transports; print(trio_transports.__file__)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "site-packages" in origin, f"imported from {origin.strip()}, not from the wheel"
    times = [(import_seconds("trio_transports"), import_seconds(BASELINE)) for _ in range(ROUNDS)]
    ours, baseline = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = ours / baseline
    print(f"import: {ours * 1000:.0f} ms, {ratio:.2f} of 'import {BASELINE}'")
    assert ratio <= AT_MOST, f"importing the package takes {ratio:.2f} times as long as importing {BASELINE}"


def main() -> None:
    tree, wheel = map(Path, sys.argv[1:])
    check_packages(tree)
    check_files(tree, wheel)
    check_import()


if __name__ == "__main__":
    main()
