"""The load process: one job on a line of stdin, its outcome on a line of stdout."""

import json
import os
import sys
import threading

from attrs import asdict

from .churn import churn
from .clocks import wall_clock_offset_ns
from .echo import echo
from .flood import flood
from .hold import hold
from .jobs import (
    JOBS,
    ChurnJob,
    EchoJob,
    FloodJob,
    HoldJob,
    InterruptionJob,
    Job,
    Outcome,
    PlaybackJob,
    StallJob,
    Target,
)
from .playback import interruption, playback
from .stall import stall
from .websocket import BrokenServer, SlowServer


def read_job(line: str) -> Job:
    fields = json.loads(line)
    kind = JOBS[fields.pop("job")]
    target = Target(**fields["target"])
    return kind(**fields | {"target": target})


def write_job(job: Job) -> str:
    return json.dumps({"job": type(job).__name__} | asdict(job))


def do(job: Job) -> Outcome:
    try:
        match job:
            case EchoJob():
                return echo(job)
            case PlaybackJob():
                return playback(job)
            case InterruptionJob():
                return interruption(job)
            case ChurnJob():
                return churn(job)
            case HoldJob():
                return hold(job)
            case StallJob():
                return stall(job)
            case FloodJob():
                return flood(job)
    except (BrokenServer, OSError) as exc:
        return Outcome(failure=f"{type(exc).__name__}: {exc}", slow=isinstance(exc, SlowServer))


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    job = read_job(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    before_ns = wall_clock_offset_ns()
    outcome = do(job)
    outcome.numbers["clock_moved_s"] = (wall_clock_offset_ns() - before_ns) / 1e9
    print(json.dumps(asdict(outcome)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
