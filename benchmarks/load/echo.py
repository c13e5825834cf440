"""The paced echo: every session sends 20 ms of audio every 20 ms, whatever comes back, and times the answers.

Rules
1. A session's chunk n is due at ``start + phase + n * 20 ms``. Phases are random within the 20 ms, as those of
   independent callers are, and the same in every run; or all are 0, which lets a server take in many messages at one
   waking and is therefore cheaper. Nothing waits for an answer (an open loop), so a slow server cannot slow the load
   down and look better for it.
2. A round trip runs from the moment a chunk was handed to the kernel, or was due if the socket would not take it, to
   the moment the kernel took the answer in.
3. CPU is read from the clocks of both processes at the start and the end of the window; answers are counted between.
4. After the window, what is still missing is waited for as long as anything comes. Chunks still missing then are *lost*
   if the server had time to spare, and only *behind* if it was working.
"""

import random
import select
import time
from array import array
from typing import Final, final

from ..messages import CHUNK_MS
from .clocks import Alarm
from .dialects import DIALECTS
from .jobs import EchoJob, Outcome
from .sessions import Sessions, sessions
from .verify import Faults
from .websocket import Connection

LEAD_NS: Final = 200_000_000
STALL_S: Final = 1.0
BUSY: Final = 0.5
"""A server that used this share of a core was working, not idle."""


def percentile(ordered: "array[float] | list[float]", share: float) -> float:
    """Nearest-rank percentile of values in order; 0 of none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def phases_ns(sessions: int, arrivals: str) -> list[int]:
    """Where in the 20 ms each session's chunks fall, in order."""
    if arrivals == "together":
        return [0] * sessions
    drawn = random.Random(sessions)
    return sorted(drawn.randrange(CHUNK_MS * 1_000_000) for _ in range(sessions))


@final
class Echo:
    """One run of the load."""

    def __init__(self, job: EchoJob, held: Sessions) -> None:
        self._job = job
        self._held = held
        dialect = DIALECTS[job.target.dialect]()
        self._frames = dialect.frames
        self.faults = Faults()
        self._checks = [dialect.check(index, self.faults) for index in range(job.sessions)]
        for connection in held.connections:
            if greeting := dialect.greeting():
                held.send(connection, greeting)
        self._sent_at = [array("q") for _ in range(job.sessions)]
        self._round_trips_ms: array[float] = array("d")
        self._counting_from_ns = self._counting_to_ns = 0
        self._late_ms: array[float] = array("d")
        self._late_before_loss_ms = -1.0
        self._stalled = 0
        self.received = self.sent = 0

    def _send(self, session: int, due_ns: int, monotonic_to_real_ns: int) -> None:
        check = self._checks[session]
        now_ns = time.monotonic_ns()
        if self._held.send(self._held.connections[session], self._frames[check.slot(check.sent)]):
            self._sent_at[session].append(now_ns + monotonic_to_real_ns)
        else:
            self._stalled += 1
            self._sent_at[session].append(due_ns + monotonic_to_real_ns)
        check.sent += 1
        self.sent += 1
        self._late_ms.append((now_ns - due_ns) / 1e6)

    def _receive(self, connection: Connection) -> None:
        arrived_ns, messages = connection.receive()
        check, sent_at = self._checks[connection.index], self._sent_at[connection.index]
        for message in messages:
            number = check.answer(message)
            if number is not None:
                self.received += 1
                sent_ns = sent_at[number]
                if self._counting_from_ns <= sent_ns < self._counting_to_ns:
                    self._round_trips_ms.append((arrived_ns - sent_ns) / 1e6)
        if self.faults.lost and self._late_before_loss_ms < 0:
            self._late_before_loss_ms = max(self._late_ms, default=0.0)

    def _turn(self, timeout_s: float, alarm_fd: int = -1) -> None:
        for fd, event in self._held.poll.poll(timeout_s):
            if fd == alarm_fd:
                continue
            connection = self._held.by_fd[fd]
            if event & select.EPOLLOUT:
                self._held.flush(connection)
            if event & ~select.EPOLLOUT:
                self._receive(connection)

    def run(self) -> Outcome:
        job = self._job
        chunk_ns = CHUNK_MS * 1_000_000
        phases = phases_ns(job.sessions, job.arrivals)
        start_ns = time.monotonic_ns() + LEAD_NS
        to_real_ns = time.time_ns() - time.monotonic_ns()
        window_ns = start_ns + int(job.warm_s * 1e9)
        end_ns = window_ns + int(job.window_s * 1e9)
        self._counting_from_ns, self._counting_to_ns = window_ns + to_real_ns, end_ns + to_real_ns
        marks: list[tuple[int, ...]] = []
        number, due_ns = 0, start_ns
        alarm = Alarm()
        self._held.poll.register(alarm.fd, select.EPOLLIN | select.EPOLLET)
        try:
            while len(marks) < 2:
                now_ns = time.monotonic_ns()
                while due_ns <= now_ns and due_ns < end_ns:
                    self._send(number % job.sessions, due_ns, to_real_ns)
                    number += 1
                    due_ns = start_ns + number // job.sessions * chunk_ns + phases[number % job.sessions]
                if now_ns >= (window_ns, end_ns)[len(marks)]:
                    marks.append(
                        (
                            time.monotonic_ns(),
                            job.target.cpu_ns(),
                            time.process_time_ns(),
                            job.target.waited_ns(),
                            self.sent,
                            self.received,
                            *job.target.each_cpu_ns(),
                        )
                    )
                alarm.set(min(due_ns, end_ns))
                self._turn(0.1, alarm.fd)
        finally:
            self._held.poll.unregister(alarm.fd)
            alarm.close()
        missing, idle = self._wait_for_the_rest()
        return self._outcome(marks[0], marks[1], missing, idle=idle)

    def _wait_for_the_rest(self) -> tuple[int, bool]:
        """How many chunks never came back, and whether the server was idle when they were given up."""
        deadline = time.monotonic() + self._job.grace_s
        progress_at, busy_ns = time.monotonic(), self._job.target.busy_ns()
        while self._missing() and (now := time.monotonic()) < deadline:
            if now - progress_at > STALL_S:
                used_s = (self._job.target.busy_ns() - busy_ns) / 1e9
                return self._missing(), used_s < BUSY * (now - progress_at)
            before = self.received
            self._turn(0.1)
            if self.received != before:
                progress_at, busy_ns = time.monotonic(), self._job.target.busy_ns()
        return self._missing(), False

    def _missing(self) -> int:
        return sum(check.sent - check.expected for check in self._checks)

    def _outcome(
        self,
        first: tuple[int, ...],
        last: tuple[int, ...],
        missing: int,
        *,
        idle: bool,
    ) -> Outcome:
        differences = (b - a for a, b in zip(first, last, strict=True))
        wall_ns, server_ns, load_ns, waited, sent, received, *each_ns = differences
        if missing and idle:
            self.faults.lost += missing
            self.faults.add(f"{missing} chunks at the end never came back, and the server had nothing to do")
        trips = array("d", sorted(self._round_trips_ms))
        late = sorted(self._late_ms)
        numbers = {
            "window_s": wall_ns / 1e9,
            "sent": sent,
            "received": received,
            "server_cpu_s": server_ns / 1e9,
            "busiest_cpu_s": max(each_ns) / 1e9,
            "load_cpu_s": load_ns / 1e9,
            "server_waited_s": waited / 1e9,
            "round_trip_p50_ms": percentile(trips, 0.5),
            "round_trip_p99_ms": percentile(trips, 0.99),
            "round_trip_max_ms": trips[-1] if trips else 0.0,
            "load_late_p99_ms": percentile(late, 0.99),
            "load_late_before_loss_ms": max(self._late_before_loss_ms, 0.0),
            "stalled_sends": self._stalled,
            "behind": 0 if idle else missing,
            "silent_chunks": sum(check.silent for check in self._checks),
            "shortened": sum(check.shortened for check in self._checks),
        }
        return Outcome(
            numbers=numbers, altered=self.faults.altered, lost=self.faults.lost, examples=self.faults.examples
        )


def echo(job: EchoJob) -> Outcome:
    with sessions(job.target, job.sessions) as held:
        return Echo(job, held).run()
