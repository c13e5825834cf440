"""A process's system calls by kind, counted by the kernel (perf) or, where that may not be asked, by strace.

perf counts in the kernel and costs the process next to nothing. strace stops it at each call, which makes it slower and
lets more messages share a wake: counts by strace are the lower for it under load.
"""

import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

KINDS: Final = (
    *("read", "recvfrom", "recvmsg", "write", "sendto", "sendmsg"),
    *("epoll_wait", "epoll_pwait", "epoll_ctl", "futex", "accept4", "close", "getpid", "madvise", "mmap", "munmap"),
)
"""Those that perf is asked for by name; the rest is the difference to all."""
_ALL: Final = "raw_syscalls:sys_enter"
_NAMED: Final = "syscalls:sys_enter_"


class NoCounter(Exception):
    """Neither perf nor strace may look at other processes here."""


def system_calls(pid: int, seconds: float) -> tuple[str, Counter[str]]:
    """Who counted, and how many calls of each kind the process made, all its threads, in that time."""
    failures = []
    for name, count in (("perf stat", _perf), ("strace -c -f", _strace)):
        if shutil.which(name.partition(" ")[0]) is None:
            failures.append(f"{name}: not installed")
            continue
        calls = count(pid, seconds)
        if calls:
            return name, calls
        failures.append(f"{name}: it counted nothing")
    raise NoCounter(f"system calls cannot be counted here ({'; '.join(failures)})")


def _perf(pid: int, seconds: float) -> Counter[str]:
    events = ",".join([_ALL, *(_NAMED + kind for kind in KINDS)])
    command = ["perf", "stat", "-x,", "-e", events, "-p", str(pid), "--", "sleep", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    return read_perf(done.stderr)


def read_perf(text: str) -> Counter[str]:
    """What ``perf stat -x,`` says: a count, a unit, an event."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        count, _, event = [*line.split(","), "", ""][:3]
        if count.isdigit() and event.startswith((_ALL, _NAMED)):
            found["all" if event == _ALL else event.removeprefix(_NAMED)] += int(count)
    found["others"] = found.pop("all", 0) - sum(found.values())
    return +found


def _strace(pid: int, seconds: float) -> Counter[str]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        command = ["strace", "-c", "-f", "-p", str(pid), "-o", str(out)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as strace:
            time.sleep(seconds)
            strace.send_signal(signal.SIGINT)
            strace.wait(30)
        return read_strace(out.read_text() if out.exists() else "")


def read_strace(text: str) -> Counter[str]:
    """What ``strace -c`` writes: share, seconds, microseconds a call, calls, errors if any, and the name."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
            found[words[-1]] += int(words[3])
    return found
