"""The files under ``examples/deploy``: what they run is what the command takes, and they wait longer than it drains."""

import json
import re
import shlex
from argparse import Namespace
from pathlib import Path

import pytest

from tests.readme import ROOT
from trio_transports.cli.arguments import parser
from trio_transports.serve.running import GRACE_S
from trio_transports.serve.supervising import LAST_S

DEPLOY = ROOT / "trio_transports" / "examples" / "deploy"
UNIT = (DEPLOY / "bot.service").read_text("utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
MANIFEST = (DEPLOY / "kubernetes.yaml").read_text("utf-8")


def value(text: str, name: str) -> str:
    (found,) = re.findall(rf"^\s*{name}\s*[=:]\s*(.+)$", text, re.MULTILINE)
    return str(found)


def commands() -> dict[str, list[str]]:
    cmd = re.search(r"^CMD (\[.*\])", DOCKERFILE.replace("\\\n", ""), re.MULTILINE)
    args = re.search(r"args: \[(.*?)\]", MANIFEST, re.DOTALL)
    assert cmd is not None
    assert args is not None
    return {
        "Dockerfile": json.loads(cmd[1]),
        "bot.service": shlex.split(value(UNIT, "ExecStart")),
        "kubernetes.yaml": [word.strip().strip('"') for word in args[1].split(",")],
    }


def parsed(name: str) -> Namespace:
    program, *arguments = commands()[name]
    assert Path(program).name == "trio-transports"
    return parser().parse_args(arguments)


@pytest.mark.parametrize("name", ["Dockerfile", "bot.service", "kubernetes.yaml"])
def test_what_is_run_is_what_the_command_takes(name: str) -> None:
    """Each option is one of ``serve``'s, with a value that it takes."""
    told = parsed(name)
    assert (told.target, told.params, told.port, told.workers) == ("bot.py", "params.toml", 8765, 2)


def test_nobody_is_killed_while_calls_may_finish() -> None:
    """Systemd and Kubernetes wait for the drain, and for what comes after it; nobody but the server is told."""
    after_s = GRACE_S + LAST_S
    assert int(value(UNIT, "TimeoutStopSec")) >= parsed("bot.service").drain + after_s
    assert int(value(MANIFEST, "terminationGracePeriodSeconds")) >= parsed("kubernetes.yaml").drain + after_s
    assert (value(UNIT, "KillMode"), value(UNIT, "KillSignal")) == ("mixed", "SIGTERM")
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE
    for text in (DOCKERFILE, MANIFEST):
        assert "/health" in text
    assert "127.0.0.1:8765/health" in DOCKERFILE
