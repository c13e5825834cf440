"""Where Pipecat runs: an interpreter of its own, given in ``TT_PIPECAT_PYTHON`` or made here once.

Pipecat pins what this library does not want pinned (protobuf below 7, numba), so it never shares an environment.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PIPECAT_VERSION = "1.14.0"
REQUIREMENTS = (f"pipecat-ai[redis,websocket]=={PIPECAT_VERSION}", "uvicorn", "uvloop; platform_system != 'Windows'")
VENV = Path(__file__).parent / ".venvs" / f"pipecat-{PIPECAT_VERSION}"
VARIABLE = "TT_PIPECAT_PYTHON"


class NotInstalled(Exception):
    """There is no interpreter with Pipecat, and none was to be made."""


def pipecat_python(*, make: bool, say: Callable[[str], None] = print) -> str:
    """The interpreter that has Pipecat; with ``make`` one is built in ``benchmarks/.venvs`` where there is none."""
    if given := os.environ.get(VARIABLE):
        if not Path(given).exists():
            raise NotInstalled(f"{VARIABLE} names an interpreter that does not exist: {given}")
        return given
    python = VENV / "bin" / "python"
    done = VENV / "complete"
    if done.exists():
        return str(python)
    if not make:
        raise NotInstalled(
            f"Pipecat is not installed: set {VARIABLE} to an interpreter that has it, or run without --quick, "
            "which builds one"
        )
    say(f"building an environment with Pipecat {PIPECAT_VERSION}, once; this takes a few minutes")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-qq", *REQUIREMENTS], check=True)
    done.touch()
    return str(python)
