"""Print the lowest versions that pyproject.toml allows for the core packages and the extras, as pip constraints."""

import re
import sys
import tomllib
from pathlib import Path

TOOLS = {"bench", "test", "dev"}
"""Extras that bring tools to work on the library, not what it runs on."""


def main() -> None:
    project = tomllib.loads(Path(sys.argv[1]).read_text())["project"]
    extras = project["optional-dependencies"]
    for requirement in project["dependencies"] + [
        each for name in extras if name not in TOOLS for each in extras[name]
    ]:
        if requirement.startswith(f"{project['name']}["):
            continue
        bare, semicolon, marker = requirement.partition(";")
        found = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)(,<[\d.]+)?", bare)
        if found is None:
            raise SystemExit(f"pyproject.toml: a requirement without a plain lower bound: {requirement}")
        print(f"{found[1]}=={found[2]}{semicolon}{marker}")


if __name__ == "__main__":
    main()
