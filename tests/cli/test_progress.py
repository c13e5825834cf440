"""How far a command is: on a terminal, in one line that is gone at the end; elsewhere nothing."""

import io
import os
import pty
import subprocess
import sys

import pytest

from trio_transports.cli.progress import progress


def test_what_is_no_terminal_gets_nothing() -> None:
    out = io.StringIO()
    with progress(out) as show:
        show("half")
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("demo", "--self-test", "--json"), ("page: loading it", "barge-in: talking over")),
        (("probe", "ws://127.0.0.1:9", "--connect-timeout", "5"), ("connecting to ws://127.0.0.1:9",)),
    ],
)
def test_a_terminal_sees_how_far_it_is(arguments: tuple[str, ...], told: tuple[str, ...]) -> None:
    """Standard output is a pipe and has nothing of it; the terminal's last line is empty or the error."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "trio_transports", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            while more := os.read(ours, 4096):
                seen += more
        except OSError:
            pass  # Linux says so when the other end of a terminal is closed
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(ours)
    for each in told:
        assert f"\r{each}".encode() in seen
        assert each.encode() not in out
    assert b"\r\x1b[K" in seen
