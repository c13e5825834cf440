"""What goes wrong on the way is one clear line and a non-zero exit code."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.cli.programs import Outcome, run
from trio_transports.__main__ import main
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import write_wav


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail with this exit code, and give its one line."""

    def run_main(code: int, *arguments: str) -> str:
        assert main(arguments) == code
        out, err = capsys.readouterr()
        return the_line(Outcome(code, out, err), code)

    return run_main


def the_line(outcome: Outcome, code: int) -> str:
    assert outcome.code == code, outcome
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert line.startswith("trio-transports: ")
    return line


@pytest.fixture
def wav(tmp_path: Path) -> str:
    path = tmp_path / "a.wav"
    write_wav(path, AudioFormat(16000), bytes(32000))
    return str(path)


@pytest.fixture
def busy_port() -> "socket.socket":
    """A port that is bound, and where nobody answers."""
    return socket.create_server(("127.0.0.1", 0))


def test_a_wrong_url(told: Callable[..., str], wav: str) -> None:
    """It says what an address looks like."""
    line = told(2, "call", "127.0.0.1:8765", "--in", wav)
    assert "'127.0.0.1:8765' is not a WebSocket URL: write ws://host:port/path" in line


@pytest.mark.parametrize("command", ["call", "probe"])
def test_a_refused_connection(told: Callable[..., str], command: str, wav: str, busy_port: "socket.socket") -> None:
    """It names the address and what the system said."""
    port = busy_port.getsockname()[1]
    busy_port.close()
    arguments = ["--in", wav] if command == "call" else []
    line = told(1, command, f"ws://127.0.0.1:{port}", *arguments)
    assert f"cannot connect to ws://127.0.0.1:{port}" in line
    assert "Connection refused" in line


def test_a_name_that_nobody_knows(told: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the name resolution said is told, and told once."""

    def resolve(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    line = told(1, "probe", "ws://nobody.invalid:1")
    assert line == "trio-transports: cannot connect to ws://nobody.invalid:1: Name or service not known"


@pytest.mark.parametrize("command", ["call", "probe"])
def test_a_server_that_says_nothing(
    told: Callable[..., str], command: str, wav: str, busy_port: "socket.socket"
) -> None:
    """The time limit is named."""
    with busy_port:
        url = f"ws://127.0.0.1:{busy_port.getsockname()[1]}"
        arguments = ["--in", wav] if command == "call" else []
        line = told(1, command, url, *arguments, "--connect-timeout", "0.3")
    assert f"no connection to {url} within" in line


def test_a_bad_wav(told: Callable[..., str], tmp_path: Path) -> None:
    """It says what the file is not, before any connection is tried."""
    path = tmp_path / "song.wav"
    path.write_bytes(b"ID3 is what this is")
    assert "song.wav is not a WAV file" in told(1, "call", "ws://127.0.0.1:1", "--in", str(path))
    write_wav(path, AudioFormat(8000), b"")
    assert "song.wav holds no audio" in told(1, "call", "ws://127.0.0.1:1", "--in", str(path))


def test_an_output_that_cannot_be_written(told: Callable[..., str], tmp_path: Path, wav: str) -> None:
    """It is found out before the call."""
    out = str(tmp_path / "missing" / "b.wav")
    line = told(1, "call", "ws://127.0.0.1:1", "--in", wav, "--out", out)
    assert "there is no folder" in line
    line = told(1, "call", "ws://127.0.0.1:1", "--in", wav, "--out", str(tmp_path))
    assert "it is a folder" in line


@pytest.mark.parametrize("command", ["echo", "demo"])
def test_a_busy_port(told: Callable[..., str], command: str, busy_port: "socket.socket") -> None:
    """It says what to do."""
    with busy_port:
        port = busy_port.getsockname()[1]
        line = told(1, command, "--port", str(port))
    assert f"127.0.0.1 port {port} is in use: stop what runs there, or choose another port with --port" in line


@pytest.mark.parametrize("command", ["echo", "demo"])
def test_a_foreign_address(told: Callable[..., str], command: str) -> None:
    """An address that is not this machine's is named."""
    line = told(1, command, "--host", "203.0.113.7", "--port", "0")
    assert "203.0.113.7 is not an address of this machine" in line


@pytest.mark.parametrize("command", [("echo", "--port", "0"), ("call", "ws://127.0.0.1:1"), ("inspect", "x")])
async def test_a_missing_extra(command: tuple[str, ...], wav: str) -> None:
    """It names the extra and how to install it, before anything else is done."""
    without = "import sys; sys.modules['google.protobuf'] = None; from trio_transports.__main__ import main; "
    program = (sys.executable, "-c", without + "sys.exit(main(sys.argv[1:]))")
    more = ("--in", wav) if command[0] == "call" else ()
    line = the_line(await run(*command, *more, "--serializer", "protobuf", program=program), 2)
    assert "pip install 'trio-transports[protobuf]'" in line


async def test_a_reader_that_has_enough(tmp_path: Path) -> None:
    """A closed pipe behind the output is no error worth telling."""
    capture = tmp_path / "capture.txt"
    capture.write_text('{"type":"text","text":"hello"}\n' * 20000)
    shell = ("/bin/sh", "-c", f'{sys.executable} -m trio_transports inspect "$0" | head -1; echo done')
    outcome = await run(str(capture), program=shell)
    assert outcome.out.splitlines()[-1] == "done"
    assert outcome.err == ""
