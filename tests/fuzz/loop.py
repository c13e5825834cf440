"""A small fuzzer of its own, for where atheris is not installed: it changes what has reached new lines."""

import time
import traceback
import tracemalloc
from collections.abc import Sequence
from math import inf
from random import Random
from typing import Final, final

from attrs import define, field, frozen

from tests.fuzz.corpus import inputs_of
from tests.fuzz.coverage import Coverage
from tests.fuzz.mutation import mutated, words
from tests.fuzz.target import Target

MEMORY_ROOM: Final = 4 * 1024 * 1024
MEMORY_PER_BYTE: Final = 200


@frozen
class Found:
    """An input that was taken wrongly, and what came of it."""

    data: bytes
    what: str


@final
@define(eq=False)
class Search:
    """One target, searched for inputs that it takes wrongly; the same ``seed`` finds the same again."""

    target: Target
    seed: int = 0
    inputs: int = field(default=0, init=False)
    reached: list[bytes] = field(factory=list, init=False)
    """Inputs that reached lines which none before them had."""
    found: dict[str, Found] = field(factory=dict, init=False)
    coverage: Coverage = field(factory=Coverage, init=False)
    most_lines: int = field(default=0, init=False)

    def run(self, *, inputs: int | None = None, seconds: float = inf) -> None:
        """Feed the corpus, then so many changed inputs, or for so long."""
        random = Random(f"{self.seed} {self.target.name}")
        pool = inputs_of(self.target)
        known = words(pool)
        for data in tuple(pool):
            self._feed(data)
        until = time.monotonic() + seconds
        made = 0
        while (inputs is None or made < inputs) and time.monotonic() < until:
            # Half of the time what was reached last: behind a new line are more.
            recent = self.reached[-8:] if self.reached and random.random() < 0.5 else pool
            data = mutated(random.choice(recent), pool, known, random, self.target.max_bytes)
            made += 1
            if self._feed(data):
                pool.append(data)

    def _feed(self, data: bytes) -> bool:
        self.inputs += 1
        try:
            is_new = self.coverage.watch(self.target.feed, data) > 0
        except Exception as exc:
            where = traceback.extract_tb(exc.__traceback__)[-1]
            self.found.setdefault(f"{type(exc).__name__} at {where.filename}:{where.lineno}", Found(data, repr(exc)))
            return False
        self.most_lines = max(self.most_lines, self.coverage.lines)
        if self.coverage.lines > self.target.max_lines:
            self.found.setdefault("too much work", Found(data, f"{self.coverage.lines} lines for {len(data)} bytes"))
        if is_new:
            self.reached.append(data)
            self._weigh(data)
        return is_new

    def _weigh(self, data: bytes) -> None:
        tracemalloc.start()
        try:
            self.target.feed(data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        if peak > MEMORY_ROOM + MEMORY_PER_BYTE * len(data):
            self.found.setdefault("too much memory", Found(data, f"{peak} bytes of memory for {len(data)} bytes"))


def told(found: Sequence[Found]) -> str:
    return "\n".join(f"{each.what}\n  input: {each.data!r}" for each in found)
