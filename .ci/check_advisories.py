"""Compare versions with the advisories that are known: ``check_advisories.py PYPROJECT [--installed]``.

Rules
1. The list, ``advisories.json`` beside this file, is data of the repository: the check needs no network, and says the
   same thing tomorrow. An entry holds from ``introduced`` (included) to ``fixed`` (excluded).
2. No lower bound in pyproject.toml may lie inside an advisory, extras and tools included.
3. With ``--installed``, nothing that is installed beside this interpreter may either: also what other packages bring.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ADVISORIES = Path(__file__).with_name("advisories.json")


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of a release, without zeros at its end: 1.0 is 1."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    if found is None:
        raise SystemExit(f"{text!r} is not a version")
    numbers = [int(number) for number in found[0].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def name_of(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def holes(name: str, version: str, advisories: list[dict[str, str]]) -> list[str]:
    """What is known against this version of this package."""
    number = version_of(version)
    return [
        f"{name} {version}: {each['id']}, {each['summary']}; fixed in {each['fixed']}"
        for each in advisories
        if each["package"] == name_of(name) and version_of(each["introduced"]) <= number < version_of(each["fixed"])
    ]


def lower_bounds(pyproject: Path) -> Iterator[tuple[str, str]]:
    """Each package that pyproject.toml asks for, with the lowest version that it takes."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(text for texts in project["optional-dependencies"].values() for text in texts)]
    for requirement in asked:
        found = re.match(r"([\w.-]+)(?:\[[\w,]+\])?(?:[>=]=([\d.]+))?", requirement)
        if found is not None and found[1] != project["name"]:
            yield found[1], found[2] or "0"


def main() -> None:
    pyproject, *options = sys.argv[1:]
    advisories = json.loads(ADVISORIES.read_text(encoding="utf-8"))
    found = [hole for name, version in lower_bounds(Path(pyproject)) for hole in holes(name, version, advisories)]
    if "--installed" in options:
        for each in metadata.distributions():
            found += holes(each.name, each.version, advisories)
    if found:
        raise SystemExit("known holes:\n" + "\n".join(sorted(set(found))))
    print(f"no version is within any of {len(advisories)} advisories")


if __name__ == "__main__":
    main()
