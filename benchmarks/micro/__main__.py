"""One area's figures as a JSON list on stdout: ``python -m benchmarks.micro AREA [--quick]``."""

import argparse
import json
from importlib import import_module
from pathlib import Path

from attrs import asdict

from .timing import Figure

AREAS = tuple(
    sorted(
        path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", "__main__", "timing")
    )
)


def figures(area: str, *, quick: bool) -> list[Figure]:
    found: list[Figure] = import_module(f"{__package__}.{area}").figures(quick)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.micro", description=__doc__)
    parser.add_argument("area", choices=AREAS)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps([asdict(figure) for figure in figures(arguments.area, quick=arguments.quick)]))


if __name__ == "__main__":
    main()
