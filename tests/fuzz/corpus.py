"""The inputs that are kept: for each target a few short ones that together reach every line that any has reached."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.fuzz.coverage import Coverage
from tests.fuzz.target import Target

FILE: Final = Path(__file__).with_name("corpus.json")
MAX_KEPT_BYTES: Final = 400
MOST_KEPT: Final = 12


def kept() -> Mapping[str, Sequence[bytes]]:
    if not FILE.exists():
        return {}
    return {name: [b64decode(each) for each in inputs] for name, inputs in json.loads(FILE.read_text()).items()}


def inputs_of(target: Target) -> list[bytes]:
    """Its seeds, and what is kept for it."""
    return [*target.seeds(), *kept().get(target.name, ())]


def keep(target: Target, found: Sequence[bytes]) -> int:
    """Of what was found, keep what reaches lines that nothing kept does, the short first; returns how many."""
    before = inputs_of(target)
    coverage = Coverage()
    for data in before:
        coverage.watch(target.feed, data)
    room = MOST_KEPT - len(kept().get(target.name, ()))
    new: list[bytes] = []
    for data in sorted(found, key=len):
        if len(new) >= room or len(data) > MAX_KEPT_BYTES:
            break
        if coverage.watch(target.feed, data):
            new.append(data)
    if new:
        everything = {**kept(), target.name: [*kept().get(target.name, ()), *new]}
        text = {name: [b64encode(each).decode() for each in inputs] for name, inputs in sorted(everything.items())}
        FILE.write_text(json.dumps(text, indent=1) + "\n")
    return len(new)
