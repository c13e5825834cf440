"""``new``: a folder with a first bot, its test, and its parameters."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Final

from .failure import Failure

FILES: Final = {"bot.py": "bot.txt", "test_bot.py": "test_bot.txt", "params.toml": "params.toml"}
"""What is written, and what it is written from."""


def run(*, name: str, as_json: bool) -> int:
    folder = Path(name)
    there = [file for file in FILES if (folder / file).exists()]
    if there:
        raise Failure(f"{folder / there[0]} is there already: choose another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, source in FILES.items():
            (folder / file).write_text((files(__package__) / "first_bot" / source).read_text("utf-8"), "utf-8")
    except OSError as exc:
        raise Failure(f"cannot write {folder}: {exc.strerror or exc}") from exc
    written = [str(folder / file) for file in FILES]
    if as_json:
        print(json.dumps({"ok": True, "files": written}))
    else:
        print("Wrote " + ", ".join(written) + ". Now:\n")
        print(f"  trio-transports serve {folder / 'bot.py'} --params {folder / 'params.toml'} --reload")
        print(f"  python {folder / 'test_bot.py'}          or: pytest {folder}")
    return 0
