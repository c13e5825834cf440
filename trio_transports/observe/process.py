"""What this process takes of its machine: the little that every system tells, and what trio tells of itself."""

import os
import time
from pathlib import Path
from typing import Final, final

import trio
from attrs import frozen

from .._documented import documented

_STARTED_AT: Final = time.time()


@documented
@final
@frozen(kw_only=True)
class ProcessFigures:
    """A process at one moment. None: this system does not tell."""

    pid: int
    """The system's number of it."""
    uptime_s: float
    """Seconds since it began."""
    cpu_s: float
    """Seconds of CPU time that it has used."""
    memory_bytes: int | None
    """Its resident memory."""
    open_files: int | None
    """How many descriptors it has open: files and sockets."""
    tasks: int
    """How many tasks its trio run has."""


def process_figures() -> ProcessFigures:
    """How this process stands now; called inside its trio run."""
    return ProcessFigures(
        pid=os.getpid(),
        uptime_s=time.time() - _STARTED_AT,
        cpu_s=time.process_time(),
        memory_bytes=_memory_bytes(),
        open_files=_open_files(),
        tasks=trio.lowlevel.current_statistics().tasks_living,
    )


def _memory_bytes() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _open_files() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return None
