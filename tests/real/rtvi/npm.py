"""Packages of the browser's world, installed in a folder of their own at the versions named here."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.tools import missing, requires

CLIENT: Final = ("@pipecat-ai/client-js@1.13.1", "@pipecat-ai/websocket-transport@1.7.1", "esbuild@0.28.2")
OLD_CLIENT: Final = ("@pipecat-ai/client-js@1.5.0", "@pipecat-ai/websocket-transport@1.5.0", "esbuild@0.28.2")
"""The last pair that speaks protocol 1.0."""
AXE: Final = ("axe-core@4.10.3",)
TYPESCRIPT: Final = ("typescript@5.9.3",)
LIMIT_S: Final = 240


def install(folder: Path, packages: tuple[str, ...]) -> Path:
    """Install packages without running any script of theirs; give the folder that has them."""
    npm = requires("npm")
    requires("node")
    command = [str(npm), "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
    (folder / "package.json").write_text('{"private": true}\n', "utf-8")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode:
        missing(", ".join(packages), f"npm could not install them: {done.stderr[-500:]}")
    return folder / "node_modules"


def bundle(modules: Path, source: Path) -> str:
    """One script of ``source`` and all that it imports."""
    esbuild = modules / ".bin" / "esbuild"
    entry = modules.parent / source.name
    entry.write_text(source.read_text("utf-8"), "utf-8")
    command = [str(esbuild), str(entry), "--bundle", "--format=esm", "--log-level=error"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode:
        pytest.fail(f"esbuild failed: {done.stderr[-2000:]}", pytrace=False)
    return done.stdout
