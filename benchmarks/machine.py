"""What a figure was measured on, in words that name neither the host nor its user."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def contention() -> float:
    """Seconds since the start of the machine in which something wanted a core and had none; 0 where nobody counts."""
    try:
        first = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    except (OSError, IndexError):
        return 0.0
    return float(first.rpartition("total=")[2]) / 1e6


def machine_facts() -> dict[str, str]:
    facts = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load average at start": f"{os.getloadavg()[0]:.2f}",
    }
    for package in ("trio", "trio-websocket", "hypercorn", "numpy"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts
