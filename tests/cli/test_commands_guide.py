"""The guide for scripts: its tables are what the commands print and end with, and nothing else."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trio_transports.cli.json_output import FAILURE, OBJECTS
from trio_transports.docs.guide import guides

PROGRAM = (sys.executable, "-m", "trio_transports")
PATIENCE_S = 120


def table(heading: str) -> dict[str, str]:
    """The rows under a heading of the guide: name to text."""
    guide = next(guide for guide in guides() if guide.name == "commands")
    text = dict(guide.parts())[heading]
    return dict(re.findall(r"^\| `?(\w+)`? \| (.*?) \|$", text, re.MULTILINE)[1:])


def ended(*arguments: str) -> tuple[int, list[dict[str, object]]]:
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def interrupted(process: "subprocess.Popen[str]") -> int:
    """Press Ctrl-C once."""
    with process:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()  # one that did not hear it
        return process.returncode


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """By what is started here: a shell in the background ignores it, and so does all that is started from there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def a_server() -> "subprocess.Popen[str]":
    """One that has said that it is ready."""
    process = subprocess.Popen([*PROGRAM, "serve", "--port", "0", "--json"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "ready" in process.stdout.readline()
    return process


def a_probe() -> "subprocess.Popen[str]":
    """One that has connected, and is not answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        command = [*PROGRAM, "probe", url, "--json", "--connect-timeout", "60"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        connection, _ = listener.accept()
        _OPEN.append(connection)
    return process


_OPEN: list[socket.socket] = []
"""Connections that stay until the end of a test."""


@pytest.mark.parametrize("command", OBJECTS)
def test_a_table_has_the_names_that_are_printed(command: str) -> None:
    """With the same words as the help: what is printed is held against those in ``test_json_output``, by processes."""
    assert table(command) == dict(OBJECTS[command])


def test_the_table_of_failures_is_what_a_failure_prints(tmp_path: Path) -> None:
    """By three commands, with 1 and with 2."""
    assert tuple(table("When it fails")) == FAILURE
    for expected, arguments in (
        (1, ("probe", "ws://127.0.0.1:9")),
        (1, ("inspect", str(tmp_path / "none"))),
        (2, ("call", "nonsense", "--in", str(tmp_path / "none"))),
    ):
        code, (told,) = ended(*arguments, "--json")
        assert (code, tuple(told)) == (expected, FAILURE)


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_each_exit_code_is_what_a_command_ends_with(tmp_path: Path) -> None:
    """0, 1, 2 and 130, each by a process, and no other is promised."""
    (tmp_path / "bad.txt").write_text('{"type": 5}\n', "utf-8")
    seen = {
        interrupted(a_server()),
        interrupted(a_probe()),
        ended("inspect", str(tmp_path / "bad.txt"), "--json")[0],
        ended("probe", "--json")[0],
    }
    _OPEN.pop().close()
    assert seen == {0, 1, 2, 130}
    assert set(table("Exit codes")) == {str(code) for code in seen}


def test_a_missing_argument_is_told_on_standard_error_alone() -> None:
    for arguments in (("probe", "--json"), ("serve", "--workers", "0", "--json"), ("call", "--jsn")):
        assert ended(*arguments) == (2, [])
