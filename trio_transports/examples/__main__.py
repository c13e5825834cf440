"""What example programs there are, and how each is started: ``python -m trio_transports.examples``."""

import ast
from collections.abc import Iterator
from importlib.resources import files


def programs() -> Iterator[tuple[str, str]]:
    """The name of each program, and the first line of what it says of itself."""
    for file in sorted(files("trio_transports.examples").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py") and not file.name.startswith("_"):
            text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            yield file.name.removesuffix(".py"), text.partition("\n")[0]


def main() -> None:
    """Print them; each program's own text says what it needs."""
    for name, text in programs():
        print(f"python -m trio_transports.examples.{name}\n    {text}")


if __name__ == "__main__":
    main()
