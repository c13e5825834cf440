"""SIGTERM and Ctrl-C, as docker, Kubernetes and a terminal send them, to the programs of the README."""

import json
import shutil
import signal
import subprocess
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.real.asgi.apps import AUDIO_MESSAGE, until
from tests.real.asgi.raw_peer import TEXT, frame, raw_peer
from tests.real.leaving.programs import Program, running, snippet
from tests.tools import missing
from trio_transports.errors import ConnectionClosed
from trio_transports.wire import Wire
from trio_transports.wire.accepting.signals import TWICE_S
from trio_transports.wire.dialling import Address, dial
from trio_transports.wire.direct import connect_wire
from trio_transports.wire.settings import WireSettings

signals = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])

SAID = bytes(range(1, 251)) * 128  # one second at 16 kHz, 16 bit
LATER_S = 2 * TWICE_S
"""By then a second signal is no longer one with the first."""
SETTINGS = WireSettings(max_message_bytes=1024 * 1024, ping_interval_s=None, ping_timeout_s=1)


def call(port: int, path: str = "/") -> tuple[Address, str]:
    return Address.parse(f"ws://127.0.0.1:{port}{path}"), path


@asynccontextmanager
async def calling(port: int, path: str = "/") -> AsyncIterator[Wire]:
    """Call a program on its port."""
    address, _ = call(port, path)
    async with connect_wire(
        await dial(address, None), url=address.url, host="x", resource=path, settings=SETTINGS
    ) as wire:
        yield wire


async def read_to_the_end(wire: Wire) -> tuple[bytes, ConnectionClosed]:
    heard = b""
    while True:
        try:
            message = await wire.receive()
        except ConnectionClosed as closed:
            return heard, closed
        document = json.loads(message)
        if document.get("type") == "audio":
            heard += b64decode(document["audio"])


async def say_and_signal(program: Program, number: signal.Signals, at: str = "/") -> tuple[bytes, ConnectionClosed]:
    """Say a second, signal once its first word is back; give what was heard, and the end."""
    async with calling(program.port, at) as wire:
        said = {"type": "audio", "audio": b64encode(SAID).decode(), "sample_rate": 16000}
        await wire.send(json.dumps(said))
        first = json.loads(await wire.receive())
        program.signal(number)
        rest, closed = await read_to_the_end(wire)
        return b64decode(first["audio"]) + rest, closed


async def hear_all_after(number: signal.Signals, *, before: tuple[str, ...], folder: Path) -> tuple[bytes, int, int]:
    """What was heard, the close code and the exit code."""
    async with running(snippet("server", folder), before=before) as program:
        heard, closed = await say_and_signal(program, number)
        return heard, closed.code, await program.ended()


def works(*command: str) -> bool:
    return (
        shutil.which(command[0]) is not None
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


def in_a_namespace() -> tuple[str, ...]:
    """What has a program be the first process of its own."""
    namespace = ("unshare", "-pf", "--kill-child")
    if not works(*namespace, "true"):
        missing("unshare", "util-linux, and the right to make a process namespace")
    return namespace


@signals
async def test_a_server_flushes_says_goodbye_and_exits_with_0(number: signal.Signals, tmp_path: Path) -> None:
    """What was queued is heard to its end, then 1001; the process ends well."""
    heard, code, exit_code = await hear_all_after(number, before=(), folder=tmp_path)
    assert heard.rstrip(b"\0") == SAID
    assert (code, exit_code) == (1001, 0)


async def test_a_server_that_is_the_first_process_of_a_container(tmp_path: Path) -> None:
    """The kernel spares such a process every signal that it does not ask for: this one asks."""
    heard, code, exit_code = await hear_all_after(signal.SIGTERM, before=in_a_namespace(), folder=tmp_path)
    assert heard.rstrip(b"\0") == SAID
    assert (code, exit_code) == (1001, 0)


@signals
async def test_a_proxy_server_says_goodbye_and_exits_with_0(number: signal.Signals, tmp_path: Path) -> None:
    """The README's other machine: its peers read 1001, and the process ends well."""
    async with running(snippet("proxy", tmp_path, main="serve")) as program:
        async with calling(program.port) as wire:
            await wire.receive()  # it introduces its worker
            program.signal(number)
            _, closed = await read_to_the_end(wire)
            assert closed.code == 1001
        assert await program.ended() == 0


async def test_two_signals_at_one_moment_are_one(tmp_path: Path) -> None:
    """A process that finds both when it has its turn says goodbye, exits with 0, and prints no traceback."""
    log = tmp_path / "log"
    async with running(snippet("server", tmp_path), log=log) as program:
        async with calling(program.port) as wire:
            for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
                program.signal(number)
            _, closed = await read_to_the_end(wire)
        assert (closed.code, await program.ended()) == (1001, 0)
    assert "Traceback" not in log.read_text("utf-8")


STUCK = """
import trio
from trio_transports import WebsocketServerParams, WebsocketServerTransport
from trio_transports.serializers import JSONFrameSerializer
async def handler(session):
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()
params = WebsocketServerParams(serializer=JSONFrameSerializer())
transport = WebsocketServerTransport(params, host="127.0.0.1", port=PORT)
trio.run(lambda: transport.serve(handler, signals=True))
"""


@signals
async def test_a_second_signal_ends_the_process_at_once(number: signal.Signals) -> None:
    """Also where a handler never returns; and the caller has heard 1001 before that."""
    async with running(STUCK) as program:
        async with calling(program.port) as wire:
            program.signal(number)
            _, closed = await read_to_the_end(wire)
        assert closed.code == 1001
        await trio.sleep(LATER_S)
        assert program.process.returncode is None
        program.signal(number)
        assert await program.ended() == -number


async def test_a_second_signal_ends_the_first_process_of_a_container() -> None:
    """The kernel would spare it that signal: it ends itself, and its exit code is what a shell tells of a signal."""
    async with running(STUCK, before=in_a_namespace()) as program:
        async with calling(program.port) as wire:
            program.signal(signal.SIGTERM)
            _, closed = await read_to_the_end(wire)
        assert closed.code == 1001
        await trio.sleep(LATER_S)
        program.signal(signal.SIGTERM)
        assert await program.ended() == 128 + signal.SIGTERM


BUSY = "import pathlib\n" + STUCK.replace(
    "    with trio.CancelScope(shield=True):\n        await trio.sleep_forever()",
    "    while True: pathlib.Path(TOLD).touch()",
)


def touched_ns(path: Path) -> int:
    return path.stat().st_mtime_ns


async def test_a_second_signal_ends_a_process_whose_loop_is_blocked(tmp_path: Path) -> None:
    """A handler that computes without end keeps nobody from stopping the program."""
    told = tmp_path / "told"
    code = BUSY.replace("TOLD", repr(str(told)))
    async with running(code) as program, calling(program.port) as wire:
        await until(told.exists, limit_s=60)
        program.signal(signal.SIGTERM)
        signalled_ns = touched_ns(told)
        await until(lambda: touched_ns(told) > signalled_ns, limit_s=60)  # it has had a core since, and has heard it
        with trio.move_on_after(2 * LATER_S):
            await wire.receive()
        assert program.process.returncode is None
        program.signal(signal.SIGTERM)
        assert await program.ended() == -signal.SIGTERM


HUNG = """
import sys
from contextlib import asynccontextmanager
from pathlib import Path
import trio
from trio_transports.__main__ import main
from trio_transports.cli import echo, serve_demo
async def hang():
    Path(TOLD).touch()
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()
serve = serve_demo.serve_demo
@asynccontextmanager
async def serve_and_hang(host, port):
    async with serve(host, port) as url:
        yield url
        await hang()
serve_demo.serve_demo = serve_and_hang
class Pipeline:
    def __init__(self, stages): pass
    async def run(self, *_):
        Path(TOLD).with_suffix(".begun").touch()
        try:
            await trio.sleep_forever()
        finally:
            await hang()
echo.Pipeline = Pipeline
sys.exit(main(["COMMAND", "--port", "PORT"]))
"""


@signals
@pytest.mark.parametrize("command", ["demo", "echo"])
async def test_a_second_signal_ends_a_command_at_once(command: str, number: signal.Signals, tmp_path: Path) -> None:
    """Whatever it is waiting for since the first, here a bot that does not let go of its caller."""
    told = tmp_path / "told"
    code = HUNG.replace("TOLD", repr(str(told))).replace("COMMAND", command)
    async with running(code) as program, raw_peer(program.port) as peer:
        await peer.upgrade("/ws")
        assert peer.status == 101
        if command == "echo":
            await peer.send(frame(TEXT, AUDIO_MESSAGE))
            await until(told.with_suffix(".begun").exists, limit_s=60)
        program.signal(number)
        await until(told.exists, limit_s=60)
        await trio.sleep(LATER_S)
        assert program.process.returncode is None
        program.signal(number)
        assert await program.ended() == -number
