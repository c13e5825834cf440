"""A redis-server of the test's own, on a free port, started and ended by its process id."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import final

import pytest
import trio
from attrs import define, field

from tests.ports import free_port
from tests.real.bus.waiting import PATIENCE_S
from tests.tools import requires


@final
@define(eq=False)
class RedisServer:
    """``persistent`` keeps what is in the streams over a restart; the default keeps nothing."""

    folder: Path
    persistent: bool = False
    port: int = field(factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *options: str) -> None:
        program = requires("redis-server")
        kept = ("--appendonly", "yes", "--appendfsync", "always") if self.persistent else ("--appendonly", "no")
        self._process = subprocess.Popen(
            [
                program,
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                self.folder,
                *kept,
                *options,
            ],
            stdout=subprocess.DEVNULL,
        )

    def start_with(self, *arguments: str) -> None:
        """Start it with a configuration of its own."""
        program = requires("redis-server")
        self._process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)

    async def wait_until_it_answers(self) -> None:
        with trio.fail_after(PATIENCE_S):
            while True:
                try:
                    async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
                        await stream.send_all(b"PING\r\n")
                        if (await stream.receive_some(64)).startswith((b"+PONG", b"-NOAUTH")):
                            return
                except (OSError, trio.BrokenResourceError):
                    pass
                await trio.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def restart(self) -> None:
        self.start()
        await self.wait_until_it_answers()


def redis_in(folder: Path, *, persistent: bool = False) -> Iterator[RedisServer]:
    server = RedisServer(folder, persistent)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def redis_command(port: int, *parts: str) -> str:
    """One command over a connection of its own, and the raw reply."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
        raw.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p.encode()) for p in parts))
        return raw.recv(100_000).decode()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    yield from redis_in(tmp_path)


@pytest.fixture
def durable_redis(tmp_path: Path) -> Iterator[RedisServer]:
    yield from redis_in(tmp_path, persistent=True)
