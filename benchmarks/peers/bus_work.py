"""The work of the bus programs, and how it is timed: the same for each, and standard library only."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

PAYLOAD = {"question": "how far is it", "number": 5, "options": ["a", "b", "c"], "deep": {"x": None, "y": True}}
SAMPLE_RATE = 16_000
AUDIO = bytes(1 + index % 255 for index in range(640))
WINDOW = 256
"""Messages on the way at once: below every bound of both libraries."""
QUICK = "--quick" in sys.argv
JOBS = 960 if QUICK else 3200
MESSAGES = 1000 if QUICK else 10_000


class Measured:
    """What one program found: metric, case, value, unit and whether more is better."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, float, str, str]] = []

    @contextmanager
    def jobs(self, case: str) -> Iterator[int]:
        began_s, cpu_s = time.perf_counter(), time.process_time()
        yield JOBS
        took_s, used_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        self.found.append(("job round trips", case, JOBS / took_s, "1/s", "higher"))
        self.found.append(("CPU per job", case, used_s / JOBS * 1e6, "us", "lower"))

    @contextmanager
    def messages(self) -> Iterator[int]:
        cpu_s = time.process_time()
        yield MESSAGES
        used_s = time.process_time() - cpu_s
        self.found.append(("CPU per message", "20 ms of audio, one way", used_s / MESSAGES * 1e6, "us", "lower"))


def tell(measured: Measured) -> None:
    print(json.dumps(measured.found), flush=True)
