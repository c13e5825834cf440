"""``trio-transports serve`` as an operator has it: a process that is told by signals and asked over HTTP."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, final

import trio
from attrs import define
from prometheus_client.parser import text_string_to_metric_families

ROOT: Final = Path(__file__).parents[3]
PATIENCE_S: Final = 90
"""For a program to start on a machine that is busy with other things."""


@final
@define(eq=False)
class Served:
    process: trio.Process
    ready: dict[str, Any]

    @property
    def host(self) -> str:
        """Its address and port."""
        return str(self.ready["url"].partition("://")[2])

    @property
    def ws_url(self) -> str:
        return str(self.ready["ws_url"])

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        with trio.fail_after(PATIENCE_S):
            return await self.process.wait()

    async def get(self, path: str) -> tuple[int, bytes]:
        """Fetch a page, with the plainest HTTP there is; the status is 0 where it went without an answer."""
        name, _, port = self.host.rpartition(":")
        async with await trio.open_tcp_stream(name, int(port)) as stream:
            request = f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n"
            await stream.send_all(request.encode())
            answer = b"".join([data async for data in stream])
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, body

    async def metrics(self) -> dict[tuple[str, str], float]:
        """Each sample by its name, and the value of its label, if it has one."""
        status, body = await self.get("/metrics")
        assert status == 200, body
        return {
            (sample.name.removeprefix("trio_transports_"), "".join(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }


@asynccontextmanager
async def served(
    *arguments: str, cwd: Path = ROOT, program: tuple[str, ...] = (), log: Path | None = None
) -> AsyncIterator[Served]:
    """Run the command until the block ends, with what it says at ``ready``; it is killed then if it still runs.

    ``log`` is where what it says on standard error goes.
    """
    command = program or (sys.executable, "-m", "trio_transports")
    with ExitStack() as stack:
        errors = None if log is None else stack.enter_context(log.open("wb"))
        process = await trio.lowlevel.open_process(
            [*command, "serve", *arguments, "--port", "0", "--json"],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        told = b""
        with trio.fail_after(PATIENCE_S):
            while b"\n" not in told:
                more = await process.stdout.receive_some()
                assert more, f"it ended with {await process.wait()}"
                told += more
        yield Served(process, json.loads(told.partition(b"\n")[0]))
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 10):
            await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()
