"""Playback: every session asks for audio and records when each chunk of it arrives.

Rules
1. Sessions ask one after another, spread over 20 ms, so that their chunks do not all fall due at one moment.
2. A session's rate is the slope between the most punctual chunk of the first quarter and that of the last. A stall that
   is made up for does not move it; a drift, or a stall after which all is late for ever, does. 0 is exactly real time;
   +1e-3 is a thousandth too slow.
3. A gap's error is how far the time between two chunks is from 20 ms.
4. Listening goes on for three seconds and half the playback after the last chunk was due. Chunks that had not come by
   then are lost if the server had time to spare, and only behind if it was working.
"""

import time
from array import array
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final, final

from ..messages import CHUNK_MS, CHUNK_S, chunks_in, command_message
from .echo import BUSY, percentile
from .jobs import InterruptionJob, Outcome, PlaybackJob
from .sessions import Sessions, sessions
from .verify import Faults, PlaybackCheck
from .websocket import Connection, SlowServer, masked_frame

PATIENCE_S: Final = 5.0


def rate_error(arrivals_ns: Sequence[int]) -> float:
    """How far from real time chunks of 20 ms came, as a share: 0 is exact, +1e-3 a thousandth too slow."""
    late_ns = [arrived - arrivals_ns[0] - at * CHUNK_MS * 1_000_000 for at, arrived in enumerate(arrivals_ns)]
    quarter = max(1, len(late_ns) // 4)
    first = min(range(quarter), key=late_ns.__getitem__)
    last = min(range(len(late_ns) - quarter, len(late_ns)), key=late_ns.__getitem__)
    return (late_ns[last] - late_ns[first]) / ((last - first) * CHUNK_MS * 1e6)


def gap_errors_ms(arrivals_ns: Sequence[int]) -> list[float]:
    """How far each gap between chunks was from 20 ms, in order of size."""
    return sorted(abs((later - earlier) / 1e6 - CHUNK_MS) for earlier, later in pairwise(arrivals_ns))


@final
class Listening:
    """Sessions that are played to, with the arrival of each chunk."""

    def __init__(self, held: Sessions) -> None:
        self.held = held
        self.faults = Faults()
        self.checks = [PlaybackCheck(self.faults) for _ in held.connections]
        self.arrivals_ns: list[array[int]] = [array("q") for _ in held.connections]

    def _receive(self, connection: Connection) -> None:
        arrived_ns, messages = connection.receive()
        check, arrivals = self.checks[connection.index], self.arrivals_ns[connection.index]
        for message in messages:
            if check.take(message):
                arrivals.append(arrived_ns)

    def listen(self, until: float) -> None:
        """Take in what comes until that moment of ``time.monotonic``; at least once."""
        while True:
            left_s = until - time.monotonic()
            for fd, _ in self.held.poll.poll(max(0.0, left_s)):
                self._receive(self.held.by_fd[fd])
            if left_s <= 0:
                return

    def command(self, *, spread_s: float, **command: object) -> list[int]:
        """Send a command on every session, spread evenly; the times at which it was sent (``CLOCK_REALTIME``)."""
        frame = masked_frame(command_message(**command))
        start, sent_ns = time.monotonic(), []
        for connection in self.held.connections:
            self.listen(start + spread_s * connection.index / len(self.held.connections))
            sent_ns.append(time.time_ns())
            self.held.send(connection, frame)
        return sent_ns


def playback(job: PlaybackJob) -> Outcome:
    with sessions(job.target, job.sessions) as held:
        listening = Listening(held)
        wanted = chunks_in(job.seconds)
        listening.listen(time.monotonic() + 0.2)
        start = time.monotonic()
        waited_before_ns = job.target.waited_ns()
        before_ns, load_before_ns = job.target.cpu_ns(), time.process_time_ns()
        listening.command(spread_s=CHUNK_S, play=job.seconds)
        give_up = start + job.seconds * 1.5 + 3
        at_end_ns = 0
        while any(check.expected < wanted for check in listening.checks) and time.monotonic() < give_up:
            if not at_end_ns and time.monotonic() > give_up - 1:
                at_end_ns = job.target.busy_ns()
            listening.listen(min(give_up, time.monotonic() + 0.05))
        took_s = time.monotonic() - start
        now_ns = job.target.cpu_ns()
        server_s = (now_ns - before_ns) / 1e9
        load_s = (time.process_time_ns() - load_before_ns) / 1e9
        missing = sum(wanted - check.expected for check in listening.checks)
        idle = (job.target.busy_ns() - at_end_ns) / 1e9 < BUSY
        if missing and idle:
            listening.faults.lost += missing
            listening.faults.add(f"{missing} of {wanted * job.sessions} chunks were not played")
        measured = [arrivals[job.skip :] for arrivals in listening.arrivals_ns if len(arrivals) > job.skip + 2]
        rates = [rate_error(arrivals) for arrivals in measured]
        gaps = [gap_errors_ms(arrivals) for arrivals in measured]
        played = sum(map(len, listening.arrivals_ns))
        return Outcome(
            numbers={
                "window_s": took_s,
                "server_waited_s": (job.target.waited_ns() - waited_before_ns) / 1e9,
                "server_cpu_s": server_s,
                "load_cpu_s": load_s,
                "chunks": played,
                "behind": 0 if idle else missing,
                "silent_chunks": sum(check.silent for check in listening.checks),
                "rate_error_worst": max(map(abs, rates), default=0.0),
                "rate_error_median": median(map(abs, rates)) if rates else 0.0,
                "gap_error_p50_ms": median(percentile(gap, 0.5) for gap in gaps) if gaps else 0.0,
                "gap_error_p99_ms": median(percentile(gap, 0.99) for gap in gaps) if gaps else 0.0,
                "gap_error_max_ms": max((gap[-1] for gap in gaps), default=0.0),
            },
            lists={"rate_error": rates, "gap_error_p99_ms": [percentile(gap, 0.99) for gap in gaps]},
            altered=listening.faults.altered,
            lost=listening.faults.lost,
            examples=listening.faults.examples,
        )


def interruption(job: InterruptionJob) -> Outcome:
    """Time from the caller's interruption to the last byte of what was playing; 0 when nothing more came at all."""
    with sessions(job.target, job.sessions) as held:
        listening = Listening(held)
        listening.listen(time.monotonic() + 0.2)
        # Sessions interrupt spread over an odd time, so that the moment falls anywhere between two chunks.
        spread_s = CHUNK_S * 5.37
        listening.command(spread_s=CHUNK_S, play=PATIENCE_S + job.after_s + spread_s + job.quiet_s)
        give_up = time.monotonic() + PATIENCE_S
        while not all(listening.arrivals_ns) and time.monotonic() < give_up:
            listening.listen(time.monotonic() + 0.05)
        listening.listen(time.monotonic() + job.after_s)
        if not all(listening.arrivals_ns):
            raise SlowServer(f"not every session was played to within {PATIENCE_S:g} s")
        sent_ns = listening.command(spread_s=spread_s, interrupt=True)
        listening.listen(time.monotonic() + job.quiet_s)
        tails_ms = sorted(
            max(0.0, (arrivals[-1] - sent) / 1e6) for arrivals, sent in zip(listening.arrivals_ns, sent_ns, strict=True)
        )
        deaf = sum(tail_ms > job.quiet_s * 1000 - 100 for tail_ms in tails_ms)
        if deaf:
            listening.faults.add(f"{deaf} sessions were still played to {job.quiet_s:g} s after the interruption")
            listening.faults.altered += deaf
        return Outcome(
            numbers={
                "tail_p50_ms": percentile(tails_ms, 0.5),
                "tail_p99_ms": percentile(tails_ms, 0.99),
                "tail_max_ms": tails_ms[-1],
            },
            lists={"tail_ms": tails_ms},
            altered=listening.faults.altered,
            lost=listening.faults.lost,
            examples=listening.faults.examples,
        )
