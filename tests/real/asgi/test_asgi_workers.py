"""The example app on several processes, in both of the ways that its docstring tells."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.real.asgi.raw_peer import TEXT, close_frame, frame, raw_peer

pytestmark = pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="needs SO_REUSEPORT")

_TEXT = b'{"type": "text", "text": "hello"}'


def free_address() -> tuple[str, int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return f"127.0.0.1:{port}", port


@asynccontextmanager
async def running(command: list[str], port: int) -> AsyncIterator[trio.Process]:
    """Run the program until the block ends, once it answers."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", *command], stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        with trio.fail_after(60):
            while True:
                try:
                    await who(port)
                    break
                except (OSError, EOFError):
                    assert process.returncode is None, "the program ended before it answered"
                    await trio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 10):
                await process.wait()
            if process.returncode is None:
                process.kill()


async def who(port: int) -> str:
    """The worker that answers."""
    async with raw_peer(port) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await peer.read_head()
        return (await peer.read_rest()).decode().strip()


async def echoes(port: int) -> None:
    async with raw_peer(port) as peer:
        await peer.upgrade()
        await peer.send(frame(TEXT, _TEXT))
        answer = await peer.read_frame()
        assert answer is not None
        assert b"hello" in answer.payload
        await peer.send(close_frame())
        await peer.wait_eof()


async def test_hypercorns_workers() -> None:
    """``hypercorn -k trio -w 2`` serves the example app from both its workers."""
    address, port = free_address()
    command = ["hypercorn", "-k", "trio", "-w", "2", "-b", address, "trio_transports.demo.workers_app:app"]
    async with running(command, port) as process:
        with trio.fail_after(60):
            for _ in range(5):
                await echoes(port)
            seen: set[str] = set()
            while len(seen) < 2:
                seen.add(await who(port))
            process.send_signal(signal.SIGTERM)
            await process.wait()


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C"])
async def test_guarded_workers(how: str) -> None:
    """The example's own command serves it from two guarded processes, and tells callers 1001 at its end.

    Ctrl-C in a terminal goes to all of them at once.
    """
    address, port = free_address()
    command = ["trio_transports.demo.workers_app", "--workers", "2", "--bind", address]
    async with running(command, port) as process:
        with trio.fail_after(60):
            for _ in range(5):
                await echoes(port)
            seen: set[str] = set()
            while len(seen) < 2:
                seen.add(await who(port))
            async with raw_peer(port) as one, raw_peer(port) as other:
                for peer in (one, other):
                    await peer.upgrade()
                if how == "SIGTERM":
                    process.send_signal(signal.SIGTERM)
                else:
                    os.killpg(process.pid, signal.SIGINT)
                for peer in (one, other):
                    assert (await peer.read_to_close()).close_code == 1001
                    await peer.send(close_frame(1001))
                    await peer.wait_eof()
            assert await process.wait() == 0


async def test_a_port_that_is_taken() -> None:
    """The example says so and fails where its address is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "trio_transports.demo.workers_app", "--workers", "2", "--bind", address]
        with trio.fail_after(60):
            ended = await trio.run_process(command, check=False, capture_stderr=True)
    assert ended.returncode == 1
    assert b"Address already in use" in ended.stderr
