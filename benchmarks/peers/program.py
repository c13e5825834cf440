"""What every server program shares: how it says that it is ready, answers the suite, and ends with it.

The work of a program, on each connection:
1. A message that holds audio is answered with the same audio, as the transport under test would send it.
2. The command ``{"play": seconds}`` plays that much audio at its own speed, 20 ms at a time.
3. The command ``{"interrupt": true}`` stops what is playing, at once.

Standard library only: a program runs under its peer's own interpreter.
"""

import json
import os
import platform
import socket
import sys
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def _obey_parent(report: Callable[[], object], on_end: Callable[[], object]) -> None:
    # The suite holds the other end of stdin: however it ends, this server does not outlive it.
    for _ in sys.stdin:
        print(json.dumps(report()), flush=True)
    on_end()
    os._exit(0)


def announce(
    *ports: int,
    packages: tuple[str, ...],
    workers: tuple[int, ...] = (),
    on_end: Callable[[], object] = tuple,
    **facts: str,
) -> None:
    """Tell the suite where this server listens and what it is made of; the last step before serving.

    ``workers`` are the processes that do the work, where this one does not. ``facts`` are a path and a dialect that are
    not what the suite takes for granted. ``on_end`` is called when the suite has ended.
    """
    report: Callable[[], object] = dict
    if what := os.environ.get("TT_BENCH_STEPS"):
        from .steps import install

        report = install(what).report
    threading.Thread(target=_obey_parent, args=(report, on_end), name="obey the suite", daemon=True).start()
    ready = {
        "ports": ports,
        "pid": os.getpid(),
        "workers": workers,
        "python": platform.python_version(),
        "versions": _versions(packages),
        "facts": facts,
    }
    print(json.dumps(ready), flush=True)


def clients() -> int:
    """How many clients will come at once: the one argument of a program whose transport serves one client."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else 1


def listening_socket() -> socket.socket:
    """Make a socket that listens on a free port of the loopback."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, for servers that cannot be handed a socket nor tell their port."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports
