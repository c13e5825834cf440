"""A program of the README as an operator has it: in a process of its own, ended by signals."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Final, final

import trio
from attrs import define

from tests import readme
from tests.ports import free_port

PATIENCE_S: Final = 60
"""For a program to start on a machine that is busy with other things."""


@final
@define(eq=False)
class Program:
    """It answers on ``port``; ``pid`` is what signals go to."""

    process: trio.Process
    port: int
    pid: int

    def signal(self, number: signal.Signals) -> None:
        subprocess.run(["kill", f"-{number.value}", str(self.pid)], check=True)

    async def ended(self) -> int:
        with trio.fail_after(PATIENCE_S):
            return await self.process.wait()


async def _listens(port: int) -> None:
    with trio.fail_after(PATIENCE_S):
        while True:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                await trio.sleep(0.05)
            else:
                await stream.aclose()
                return


@asynccontextmanager
async def running(code: str, *, before: tuple[str, ...] = (), log: Path | None = None) -> AsyncIterator[Program]:
    """Run ``code`` (with PORT in it) until the block ends; it is killed then if it still runs.

    ``log`` is where what it says on standard error goes.
    """
    port = free_port()
    command = [*before, sys.executable, "-c", code.replace("PORT", str(port))]
    async with trio.open_nursery() as nursery:
        with nullcontext() if log is None else log.open("wb") as errors:
            process = await trio.lowlevel.open_process(command, cwd=readme.ROOT, stderr=errors, start_new_session=True)
        try:
            await _listens(port)
            yield Program(process, port, _innermost(process.pid) if before else process.pid)
        finally:
            if process.returncode is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            nursery.cancel_scope.cancel()


def _innermost(pid: int) -> int:
    """The process that ``pid`` was told to start."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _innermost(int(children[0])) if children else pid


def snippet(name: str, folder: Path, main: str = "main", first: str = "pass") -> str:
    """The README's program of that name, on PORT; as it would run as a program, but for the port.

    ``first`` is done before it runs: it may put something else in the place of one of the program's names, ``p.NAME``.
    """
    path = readme.write(name, folder)
    imports = f"import sys; sys.path.insert(0, {str(path.parent)!r}); import {path.stem} as p, trio"
    return f"{imports}\n{first}\ntrio.run(p.{main}, PORT)"
