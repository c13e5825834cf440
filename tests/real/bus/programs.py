"""Programs that print JSON lines, run beside a test and ended by their process id."""

import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, final

import trio
from attrs import define, field

ROOT = Path(__file__).parents[3]


@final
@define(eq=False)
class Program:
    process: trio.Process
    events: list[dict[str, Any]] = field(factory=list)

    async def read(self) -> None:
        buffer = b""
        assert self.process.stdout is not None
        async for chunk in self.process.stdout:
            *lines, buffer = (buffer + chunk).split(b"\n")
            self.events += [json.loads(line) for line in lines if line.startswith(b"{")]

    def told(self, event: str) -> list[dict[str, Any]]:
        return [told for told in self.events if told["event"] == event]


@asynccontextmanager
async def running(python: str | Path, *arguments: str | Path) -> AsyncIterator[Program]:
    """Run a program for as long as the body runs."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(trio.run_process, [python, *arguments], stdout=subprocess.PIPE, check=False, env=environment)
        )
        program = Program(process)
        nursery.start_soon(program.read)
        try:
            yield program
        finally:
            process.kill()
