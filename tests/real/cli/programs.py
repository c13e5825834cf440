"""The command line as a user has it: programs in processes of their own."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, final

import trio
from attrs import define, frozen

PROGRAM = (sys.executable, "-m", "trio_transports")
ROOT = Path(__file__).parents[3]
PATIENCE_S = 120
"""For a program to start and end on a machine that is busy with other things: importing alone may take ten seconds."""


@final
@frozen
class Outcome:
    code: int
    out: str
    err: str


async def run(*arguments: str, timeout_s: float = PATIENCE_S, program: Sequence[str] = PROGRAM) -> Outcome:
    """Run a command to its end."""
    with trio.fail_after(timeout_s):
        done = await trio.run_process(
            [*program, *arguments], capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT
        )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


@final
@define(eq=False)
class Server:
    """A running server command. ``told`` are the lines of JSON it has printed."""

    process: trio.Process
    told: list[dict[str, Any]]
    _lines: trio.MemoryReceiveChannel[dict[str, Any]]
    _is_interrupted: bool = False

    async def next(self, event: str) -> dict[str, Any]:
        """Wait for its next line about this event."""
        with trio.fail_after(PATIENCE_S):
            async for line in self._lines:
                self.told.append(line)
                if line["event"] == event:
                    return line
        raise AssertionError(f"the server ended without telling of {event}: {self.told}")

    def interrupt(self) -> None:
        """Press Ctrl-C, once: a second one would not wait for anything."""
        if not self._is_interrupted:
            self._is_interrupted = True
            self.process.send_signal(signal.SIGINT)


@asynccontextmanager
async def serving(*arguments: str) -> AsyncIterator[Server]:
    """Run a server command with --json until the block ends; it must then end well on SIGINT."""
    async with trio.open_nursery() as nursery:
        command = [*PROGRAM, *arguments, "--json"]
        start = partial(trio.run_process, command, stdout=subprocess.PIPE, check=False, cwd=ROOT)
        process = await nursery.start(start)
        lines_in, lines = trio.open_memory_channel[dict[str, Any]](1000)
        nursery.start_soon(_read, process, lines_in)
        server = Server(process, [], lines)
        try:
            yield server
        finally:
            if process.returncode is None:
                server.interrupt()
            with trio.move_on_after(PATIENCE_S) as patience:
                patience.shield = True
                await process.wait()
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, f"the server ended with {process.returncode}"


async def _read(process: trio.Process, lines: trio.MemorySendChannel[dict[str, Any]]) -> None:
    assert process.stdout is not None
    rest = b""
    async with lines, process.stdout:
        async for data in process.stdout:
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                await lines.send(json.loads(line))
