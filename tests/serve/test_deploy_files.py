"""The files under ``examples/deploy``: each promise of the command that they rely on is one that it keeps."""

import ast
import shutil
import signal
import subprocess
from argparse import Namespace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.playground.test_start import ask
from tests.serve.deploy_files import DEPLOY, Instruction, commands, dockerfile, manifests, unit
from tests.serve.test_app import bot
from trio_transports.cli.arguments import parser
from trio_transports.cli.new import FILES
from trio_transports.serve import bot_app
from trio_transports.serve.running import GRACE_S
from trio_transports.serve.supervising import LAST_S

AFTER_S = GRACE_S + LAST_S
"""What comes after the drain, until the last worker has gone."""


def parsed(name: str) -> Namespace:
    program, *arguments = commands()[name]
    assert Path(program).name == "trio-transports"
    return parser().parse_args(arguments)


def of(name: str) -> Instruction:
    (found,) = [each for each in dockerfile() if each.name == name]
    return found


@pytest.mark.parametrize("name", ["Dockerfile", "bot.service", "kubernetes.yaml"])
async def test_what_is_run_is_what_the_command_takes(name: str) -> None:
    """Each option is one of ``serve``'s, with a value that it takes; the files are those that ``new`` writes.

    A server that is reached by its public name answers to it.
    """
    told = parsed(name)
    assert (told.target, told.params, told.port, told.workers) == ("bot.py", "params.toml", 8765, 2)
    assert {told.target, told.params} <= set(FILES)
    app = bot_app(bot, host_names=told.host_names, public_url=told.public_url)
    public_name = urlsplit(told.public_url or "http://localhost").netloc
    assert (await ask(app, "GET", "/health", host=public_name)).status == 200


async def is_there(path: str) -> bool:
    return (await ask(bot_app(bot), "GET", path, host="10.0.0.7:8765")).status == 200


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """As systemd reads it, where that is installed; and by its own words of what is to be told whom."""
    told = unit()
    assert set(told) == {"Unit", "Service", "Install"}
    service = told["Service"]
    assert service["User"] not in ("", "root")
    assert Path(service["WorkingDirectory"]) in Path(service["ExecStart"].split()[0]).parents
    assert service["ExecReload"].split() == ["/bin/kill", "-HUP", "$MAINPID"]  # a supervisor: --workers is given
    assert (service["KillMode"], service["KillSignal"]) == ("mixed", "SIGTERM")
    assert service["Restart"] == "on-failure"  # told to stop, the command ends with 0
    assert int(service["TimeoutStopSec"]) >= parsed("bot.service").drain + AFTER_S
    if (analyze := shutil.which("systemd-analyze")) is not None:
        program = service["ExecStart"].split()[0]
        for text, is_well in (
            ((DEPLOY / "bot.service").read_text("utf-8"), True),
            ("[Service]\nKillMod=mixed\n", False),
        ):
            copy = tmp_path / "bot.service"
            copy.write_text(text.replace(program, "/bin/sh"), "utf-8")
            done = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, check=False, timeout=60)
            assert (str(copy) not in done.stderr) is is_well, done.stderr


async def test_docker_asks_and_tells_what_the_command_knows() -> None:
    """Its port, its health, its signal; not as root, and without a shell that would keep the signal to itself."""
    order = [each.name for each in dockerfile()]
    assert order.index("USER") < order.index("COPY") < order.index("CMD")
    user, told = of("USER").rest, parsed("Dockerfile")
    assert f"useradd --create-home {user}" in [each.rest for each in dockerfile() if each.name == "RUN"]
    assert of("WORKDIR").rest == f"/home/{user}"
    assert of("COPY").options == {"chown": user}
    assert {told.target, told.params} == set(of("COPY").rest.split()[:-1])
    assert of("EXPOSE").rest == str(told.port)
    assert signal.Signals[of("STOPSIGNAL").rest] is signal.SIGTERM
    assert told.host == "0.0.0.0"
    check = of("HEALTHCHECK")
    form, _, words = check.rest.partition(" ")
    python, dash_c, program = Instruction(form, {}, words).words
    assert (form, python, dash_c) == ("CMD", "python", "-c")
    (url,) = [each.value for each in ast.walk(ast.parse(program)) if isinstance(each, ast.Constant) and each.value != 2]
    parts = urlsplit(str(url))
    assert (parts.scheme, parts.hostname, parts.port) == ("http", "127.0.0.1", told.port)
    assert await is_there(parts.path)


async def test_kubernetes_asks_and_waits_for_what_the_command_does() -> None:
    """Probes, ports and labels name each other, and a pod is given its drain and what comes after it."""
    told, found = parsed("kubernetes.yaml"), manifests()
    assert set(found) == {"Deployment", "Service"}
    spec, service = found["Deployment"]["spec"], found["Service"]["spec"]
    template = spec["template"]
    labels, pod = template["metadata"]["labels"], template["spec"]
    assert spec["selector"]["matchLabels"] == service["selector"] == labels
    assert pod["terminationGracePeriodSeconds"] >= told.drain + AFTER_S
    (container,) = pod["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == told.port
    assert told.host == "0.0.0.0"
    for probe in ("startupProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["port"] == port["name"]
        assert await is_there(asked["path"])
    assert "livenessProbe" not in container  # /health turns 503 with SIGTERM: that would end calls in the drain
    assert [each["targetPort"] for each in service["ports"]] == [port["name"]]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    marks = template["metadata"]["annotations"]
    assert marks["prometheus.io/port"] == str(told.port)
    assert await is_there(marks["prometheus.io/path"])
    assert all(isinstance(word, str) for word in container["args"])  # a bare number is none for Kubernetes
