"""What can be written on the command line, and what is said about what cannot."""

import pytest

from trio_transports import __version__
from trio_transports.__main__ import main

COMMANDS = ("demo", "echo", "call", "probe", "inspect")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_teaches(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Every help has an example that begins with the program's name, and ends with exit code 0."""
    with pytest.raises(SystemExit) as exit_:
        main([*command, "--help"])
    assert exit_.value.code == 0
    assert f"\n  trio-transports {' '.join(command)}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version tells the package's."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"trio-transports {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["serve", "--workers", "0"], "'0' is not a whole number of at least 1"),
        (["serve", "--tls", "one.pem"], "expected 2 arguments"),
        (["dance"], "invalid choice: 'dance'"),
        (["call"], "the following arguments are required: URL, --in"),
        (["echo", "--port", "70000"], "'70000' is not a port"),
        (["echo", "--port", "-1"], "'-1' is not a port"),
        (["echo", "--serializer", "morse"], "invalid choice: 'morse'"),
        (["call", "ws://x", "--in", "a", "--serializer", "telephone"], "invalid choice: 'telephone'"),
        (["probe", "ws://x", "--serializer", "twilio"], "invalid choice: 'twilio'"),
        (["call", "ws://x", "--in", "a", "--tail", "soon"], "'soon' is not a number of seconds"),
        (["call", "ws://x", "--in", "a", "--tail", "nan"], "'nan' is not a number of seconds"),
        (["call", "ws://x", "--in", "a", "--header", "nothing"], "'nothing' is not a header"),
        (["call", "ws://x", "--in", "a", "--header", "Two words: x"], "'Two words: x' is not a header"),
        (["call", "ws://x", "--in", "a", "--header", "A: b\r\nC: d"], "is not a header"),
        (["call", "ws://x", "--in", "a", "--rate", "7"], "'7' is not a sample rate: write a number from 4000 to"),
        (["demo", "--host", "a..b"], "'a..b' is not the name or address of a host"),
        (["echo", "--channels", "9"], "'9' is not a count of channels from 1 to 8"),
        (["probe", "ws://x", "--pings", "0"], "'0' is not a whole number of at least 1"),
        (["inspect"], "the following arguments are required: FILE"),
        (["demo", "--open"], "unrecognized arguments: --open"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(argv: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what is wrong and where help is."""
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert "--help" in line


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["probe", "http://127.0.0.1"], "'http://127.0.0.1' is not a WebSocket URL: write ws://host:port/path"),
        (["probe", "ws://127.0.0.1:port"], "is not a WebSocket URL"),
        (["probe", "ws://a..b"], "'ws://a..b' is not a WebSocket URL"),
        (["probe", "ws://h", "--ca-file", "x.pem"], "--ca-file is for wss:// addresses only"),
        (["probe", "wss://h", "--ca-file", "/no/such.pem"], "--ca-file /no/such.pem: No such file or directory"),
        (["probe", "ws://h", "--header", "A: 1", "--header", "a: 2"], "--header a is given twice"),
    ],
)
def test_what_only_the_command_can_judge_is_also_exit_code_2(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address or file that cannot be right is one line and exit code 2."""
    assert main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
