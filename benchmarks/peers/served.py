"""``trio-transports serve --workers N`` as an operator runs it, with the same work on each call; N is the last word.

The command's own process looks after its workers. What is measured is the workers'.
"""

import json
import subprocess
import sys
from pathlib import Path

from .ours import PACKAGES
from .program import announce

PARAMS = Path(__file__).with_suffix(".toml")


def children(pid: int) -> tuple[int, ...]:
    """The processes that any thread of this one has started."""
    found = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return tuple(map(int, " ".join(found).split()))


def main(workers: int) -> None:
    command = [sys.executable, "-m", "trio_transports", "serve", "benchmarks.peers.ours:handle", "--json"]
    options = ["--port", "0", "--workers", str(workers), "--params", str(PARAMS), "--max-sessions", "1000"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as served:
        try:
            assert served.stdout is not None
            ready = json.loads(served.stdout.readline() or '{"error": "serve ended before it was ready"}')
            if "error" in ready:
                raise SystemExit(str(ready["error"]))
            port = int(ready["url"].rstrip("/").rpartition(":")[2])
            pids = children(served.pid)
            if len(pids) != workers:
                raise SystemExit(f"{workers} workers were asked for, {len(pids)} are there")
            announce(port, packages=PACKAGES, workers=pids, path="/ws?dialect=protobuf", on_end=served.terminate)
            served.wait()
        finally:
            served.terminate()


if __name__ == "__main__":
    main(int(sys.argv[-1]))
