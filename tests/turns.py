"""Whose turn it is, where several processes of pytest (``-n 6``) share one machine.

Rules
1. A test marked ``alone`` measures time: while it runs, no other process runs a test. All others run beside each other.
2. Turns are taken in the order of asking: who waits to be alone is not overtaken by tests that need no quiet.
3. Who is alone, and is to be alone in its next test too, keeps the room: were the others let in between, it would have
   nothing to do while they are there, after they had nothing to do.
4. Where one process does all the work, nothing is locked and no file is made.

Two locks make this: everybody passes the gate, one at a time, and takes the room there, shared or for itself alone.
"""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import final

import pytest
from attrs import define, field


def shared_folder(config: pytest.Config) -> Path | None:
    """Where all processes of one run keep their temporary files, or None where there is only one process."""
    return Path(config.option.basetemp).parent if hasattr(config, "workerinput") else None


@contextmanager
def my_turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait until a test may run, and keep its place while it does."""
    with (folder / "gate.lock").open("w") as gate, (folder / "room.lock").open("w") as room:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


@final
@define(eq=False)
class Turns:
    """Those of one process, one after another."""

    folder: Path
    _kept: ExitStack = field(factory=ExitStack, init=False)
    _is_kept: bool = field(default=False, init=False)

    @contextmanager
    def taken(self, *, alone: bool, keeps: bool) -> Iterator[None]:
        """Wait until a test may run, unless the one before it has kept the room; and keep it for the next (rule 3)."""
        if not self._is_kept:
            self._kept.enter_context(my_turn(self.folder, alone=alone))
        self._is_kept = alone and keeps
        try:
            yield
        finally:
            if not self._is_kept:
                self.give_back()

    def give_back(self) -> None:
        """There may be no next test after all."""
        self._is_kept = False
        self._kept.close()
