"""Clocks the load works by: another process's CPU time and memory, and a timer finer than epoll's milliseconds."""

import ctypes
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

CLOCK_MONOTONIC: Final = 1
TFD_NONBLOCK: Final = os.O_NONBLOCK


def process_cpu_ns(pid: int) -> int:
    """CPU time of a process, all its threads, by the kernel's own clock of that process (nanoseconds).

    The clock's number is made from the pid as ``clock_getcpuclockid`` makes it on Linux.
    """
    return time.clock_gettime_ns(~pid << 3 | 2)


def waited_ns(pid: int) -> int:
    """How long a process's main thread was ready to run and had to wait for a core, so far."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])


def wall_clock_offset_ns(
    monotonic_ns: Callable[[], int] = time.monotonic_ns, wall_ns: Callable[[], int] = time.time_ns
) -> int:
    """By how much the wall clock is ahead of the monotonic one: the same for ever, unless somebody sets it.

    Of several readings the one counts that took least time: nothing came between its two clocks.
    """
    readings = []
    for _ in range(9):
        before_ns = monotonic_ns()
        wall = wall_ns()
        after_ns = monotonic_ns()
        readings.append((after_ns - before_ns, wall - (before_ns + after_ns) // 2))
    return min(readings)[1]


def private_bytes(pid: int) -> int:
    """Memory that this process alone holds: what its sessions cost, without what it shares with others."""
    kilobytes = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:", "Swap:")):
            kilobytes += int(line.split()[1])
    return kilobytes * 1024


@final
class Alarm:
    """A file descriptor that wakes epoll (edge-triggered) at the moment it was last set to."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def set(self, moment_ns: int) -> None:
        """Ring once, at ``moment_ns`` of ``time.monotonic_ns``; at once when that is past."""
        setting = struct.pack("qqqq", 0, 0, *divmod(moment_ns, 1_000_000_000))
        absolute = 1
        if self._libc.timerfd_settime(self.fd, absolute, setting, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        os.close(self.fd)
