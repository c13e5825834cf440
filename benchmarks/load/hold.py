"""Memory: what a session takes while it is silent, and what it takes once it has talked.

Rules
1. The cost of a session is the growth between ``few`` and ``many`` sessions, divided: what the first sessions load once
   for all is not counted.
2. Memory is what the kernel says this process alone holds. Nothing asks the server to collect garbage first.
"""

import time

from .echo import Echo
from .jobs import EchoJob, HoldJob, Outcome
from .sessions import Sessions, sessions


def _settle(held: Sessions, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        for fd, _ in held.poll.poll(left_s):
            held.by_fd[fd].receive()


def hold(job: HoldJob) -> Outcome:
    with sessions(job.target, job.few) as held:
        _settle(held, job.settle_s)
        empty_bytes = job.target.memory_bytes()
        held.open(job.target, job.many - job.few)
        _settle(held, job.settle_s)
        idle_bytes = job.target.memory_bytes()
        talk = Echo(EchoJob(target=job.target, sessions=job.many, warm_s=0.1, window_s=job.talk_s), held)
        heard = talk.run()
        active_bytes = job.target.memory_bytes()
        more = job.many - job.few
        return Outcome(
            numbers={
                "process_bytes": empty_bytes,
                "idle_session_bytes": (idle_bytes - empty_bytes) / more,
                "active_session_bytes": (idle_bytes - empty_bytes) / more + (active_bytes - idle_bytes) / job.many,
            },
            altered=heard.altered,
            lost=heard.lost,
            examples=heard.examples,
        )
