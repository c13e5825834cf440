"""Where foreign peers run: interpreters of their own, given in a variable or made here once.

Pipecat and FastRTC pin what this library does not want pinned (protobuf below 7, numba, gradio), so neither shares an
environment with it, nor with the other.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import final

from attrs import frozen

VENVS = Path(__file__).parent / ".venvs"


class NotInstalled(Exception):
    """There is no interpreter with that peer, and none was to be made."""


@final
@frozen(kw_only=True)
class Environment:
    """A foreign peer's packages, at the versions that are measured."""

    title: str
    version: str
    variable: str
    """Names an interpreter that has them already."""
    requirements: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return VENVS / f"{self.title.lower()}-{self.version}"

    def python(self, *, make: bool, say: Callable[[str], None] = print) -> str:
        """The interpreter; with ``make`` one is built in ``benchmarks/.venvs`` where there is none."""
        if given := os.environ.get(self.variable):
            if not Path(given).exists():
                raise NotInstalled(f"{self.variable} names an interpreter that does not exist: {given}")
            return given
        python, done = self.folder / "bin" / "python", self.folder / "complete"
        if done.exists():
            return str(python)
        if not make:
            raise NotInstalled(
                f"{self.title} is not installed: set {self.variable} to an interpreter that has it, or run without "
                "--quick, which builds one"
            )
        say(f"building an environment with {self.title} {self.version}, once; this takes a few minutes")
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(self.folder)],
            [str(python), "-m", "pip", "install", "-qq", *self.requirements],
        ):
            done_with = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
            if done_with.returncode:
                last = (done_with.stderr.strip().splitlines() or ["it said nothing"])[-1]
                raise NotInstalled(f"{self.title} {self.version} cannot be installed here: {last[:200]}")
        done.touch()
        return str(python)


PIPECAT = Environment(
    title="Pipecat",
    version="1.14.0",
    variable="TT_PIPECAT_PYTHON",
    requirements=(
        "pipecat-ai[redis,websocket]==1.14.0",
        "uvicorn==0.54.0",
        "uvloop==0.23.0; platform_system != 'Windows'",
    ),
)
FASTRTC = Environment(
    title="FastRTC",
    version="0.0.34",
    variable="TT_FASTRTC_PYTHON",
    requirements=("fastrtc==0.0.34", "uvicorn==0.54.0", "websockets==15.0.1"),
)
ENVIRONMENTS = {"pipecat": PIPECAT, "fastrtc": FASTRTC}
"""By the name that a peer's ``interpreter`` has."""

REQUIREMENTS = PIPECAT.requirements
"""What tests that talk to Pipecat need; ``.ci/run`` installs it once for all of them."""


def pipecat_python(*, make: bool, say: Callable[[str], None] = print) -> str:
    """The interpreter that has Pipecat."""
    return PIPECAT.python(make=make, say=say)
