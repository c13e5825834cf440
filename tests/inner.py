"""A run of pytest inside a test."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

RUN_S: Final = 300.0
"""On a busy machine its imports alone take a minute."""


def run_pytest(*options: str | Path, cwd: Path) -> str:
    """What it printed; the options that the outer run has from its environment are not meant for it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", *options]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=RUN_S).stdout
