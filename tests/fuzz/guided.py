"""One target under atheris: ``python -m tests.fuzz.guided TARGET FOLDER [options of libFuzzer]``."""

import sys
import time
from typing import Any

atheris: Any = __import__("atheris")

with atheris.instrument_imports(include=["trio_transports"]):
    from tests.fuzz.catalogue import TARGETS
    from tests.fuzz.target import Finding, Target

TOO_LONG_S = 0.25


def feed_in_time(target: Target, data: bytes) -> None:
    """Too long is only what is so three times: the machine may have been busy."""
    took_s = []
    for _ in range(3):
        began_s = time.thread_time()
        target.feed(data)
        took_s.append(time.thread_time() - began_s)
        if took_s[-1] < TOO_LONG_S:
            return
    raise Finding(f"{len(data)} bytes took {min(took_s):.3f} s")


def main() -> None:
    target = TARGETS[sys.argv[1]]
    options = [sys.argv[0], *sys.argv[2:], "-rss_limit_mb=1024", "-timeout=20", "-print_final_stats=1"]
    atheris.Setup(options, lambda data: feed_in_time(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
