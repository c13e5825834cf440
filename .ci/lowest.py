"""Print the lowest versions that pyproject.toml allows for the core packages, as pip constraints."""

import re
import sys
import tomllib
from pathlib import Path


def main() -> None:
    project = tomllib.loads(Path(sys.argv[1]).read_text())["project"]
    for requirement in project["dependencies"]:
        found = re.fullmatch(r"([\w-]+)>=([\d.]+)(,<[\d.]+)?", requirement)
        if found is None:
            raise SystemExit(f"pyproject.toml: a core dependency without a plain lower bound: {requirement}")
        print(f"{found[1]}=={found[2]}")


if __name__ == "__main__":
    main()
