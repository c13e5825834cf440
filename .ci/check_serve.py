"""Check the command of an installed wheel: ``check_serve.py BIN``, with the folder that has ``trio-transports``.

Rules
1. ``trio-transports serve``, without a word more, answers with its page within 10 s of the command; twice.
2. SIGTERM ends it, with exit code 0.
"""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

LIMIT_S = 10.0


def page_after_s(program: Path) -> float:
    """How long the page takes from the command on."""
    began_s = time.monotonic()
    with subprocess.Popen([program, "serve", "--port", "0", "--json"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = json.loads(process.stdout.readline())["url"]
            with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
                assert b"<title>" in answer.read()
            took_s = time.monotonic() - began_s
            process.terminate()
            assert process.wait(30) == 0, f"it ended with {process.returncode}"
        finally:
            process.kill()
    return took_s


def main() -> None:
    program = Path(sys.argv[1]) / "trio-transports"
    for _ in range(2):
        took_s = page_after_s(program)
        assert took_s < LIMIT_S, f"the page came {took_s:.1f} s after the command"
        print(f"the page came {took_s:.1f} s after the command")


if __name__ == "__main__":
    main()
