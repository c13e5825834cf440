"""Holes in a live source: each session gives its audio in real time, holds it back for a while, and gives it at once.

Rules
1. All samples of chunk n hold ``FIRST + n``, so that of whatever comes back, cut anywhere, the age of its last sample
   is known: the time since that chunk was made. Samples between two levels, where a server faded, are the nearest's.
2. What a server leaves out to be quick again is no fault here, nor is silence in the hole; the share that came back is
   told.
3. A chunk is due at ``start + phase + n * 20 ms``. In a hole it is due when the hole ends. Nothing waits for answers.
"""

import select
import struct
import time
from collections.abc import Sequence
from statistics import median
from typing import Final, final

from ..messages import CHUNK_BYTES, CHUNK_S, audio_message, read_audio
from .clocks import Alarm
from .echo import phases_ns
from .jobs import Outcome, StallJob
from .sessions import Sessions, sessions
from .websocket import masked_frame

FIRST: Final = 1000
LEAD_S: Final = 0.2
TAIL_S: Final = 0.8
BIN_S: Final = 0.05


def given_s(made_s: float, holes: Sequence[Sequence[float]]) -> float:
    """When audio that was made then is given; each hole is its start and its length."""
    return max([made_s, *(at + length for at, length in holes if at <= made_s < at + length)])


def curve(points: Sequence[tuple[float, float]], lasting_s: float) -> list[tuple[float, float]]:
    """The median age in each twentieth of a second in which anything came."""
    bins: dict[int, list[float]] = {}
    for at_s, age_ms in points:
        if 0 <= at_s < lasting_s:
            bins.setdefault(int(at_s / BIN_S), []).append(age_ms)
    return [(index * BIN_S, median(ages)) for index, ages in sorted(bins.items())]


def between(points: Sequence[tuple[float, float]], from_s: float, to_s: float) -> float:
    """The median age of what came in that time; 0 of nothing."""
    ages = [age_ms for at_s, age_ms in points if from_s <= at_s < to_s]
    return median(ages) if ages else 0.0


@final
class Stall:
    """One run of the load."""

    def __init__(self, job: StallJob, held: Sessions) -> None:
        self._job = job
        self._held = held
        count = round(job.seconds / CHUNK_S)
        self._frames = [
            masked_frame(audio_message(struct.pack("<h", FIRST + number) * (CHUNK_BYTES // 2)))
            for number in range(count)
        ]
        self._phases_s = [phase / 1e9 for phase in phases_ns(job.sessions, "random")]
        self._start = time.monotonic() + LEAD_S
        self.points: list[tuple[float, float]] = []
        self._samples = 0

    def _receive(self, fd: int) -> None:
        connection = self._held.by_fd[fd]
        arrived_ns, messages = connection.receive()
        at_s = time.monotonic() - (time.time_ns() - arrived_ns) / 1e9 - self._start - self._phases_s[connection.index]
        for message in messages:
            audio = read_audio(message)
            if audio is None or not audio.pcm:
                continue
            level = struct.unpack("<h", audio.pcm[-2:])[0]
            if level >= FIRST:
                self._samples += len(audio.pcm) // 2
                self.points.append((at_s, (at_s - (level - FIRST) * CHUNK_S) * 1e3))

    def run(self) -> Outcome:
        job, held = self._job, self._held
        due = sorted(
            (given_s(number * CHUNK_S, job.holes) + phase_s, number, index)
            for index, phase_s in enumerate(self._phases_s)
            for number in range(len(self._frames))
        )
        at, end = 0, self._start + job.seconds + TAIL_S
        waited_before_ns, before = job.target.waited_ns(), time.monotonic()
        alarm = Alarm()
        held.poll.register(alarm.fd, select.EPOLLIN | select.EPOLLET)
        try:
            while (now := time.monotonic()) < end:
                while at < len(due) and self._start + due[at][0] <= now:
                    _, number, index = due[at]
                    held.send(held.connections[index], self._frames[number])
                    at += 1
                next_s = self._start + due[at][0] if at < len(due) else end
                alarm.set(int(next_s * 1e9))
                for fd, event in held.poll.poll(0.1):
                    if fd == alarm.fd:
                        continue
                    if event & select.EPOLLOUT:
                        held.flush(held.by_fd[fd])
                    if event & ~select.EPOLLOUT:
                        self._receive(fd)
        finally:
            held.poll.unregister(alarm.fd)
            alarm.close()
        waited_s = (job.target.waited_ns() - waited_before_ns) / 1e9
        return self._outcome(waited_s, time.monotonic() - before)

    def _outcome(self, waited_s: float, window_s: float) -> Outcome:
        job, points = self._job, self.points
        first = job.holes[0][0]
        ends = [at + length for at, length in job.holes]
        given = job.sessions * len(self._frames) * CHUNK_BYTES // 2
        numbers = {
            "before_ms": between(points, first - 1.0, first),
            "just_after_ms": median([between(points, end, end + 0.1) for end in ends]),
            "second_after_ms": max(between(points, end + 1.0, end + 1.3) for end in ends),
            "came_back": self._samples / given,
            "server_waited_s": waited_s,
            "window_s": window_s,
            "load_cpu_s": 0.0,
        }
        drawn = curve(points, job.seconds)
        lists = {"at_s": [at for at, _ in drawn], "age_ms": [age for _, age in drawn]}
        failure = "" if points else "no audio came back"
        return Outcome(numbers=numbers, lists=lists, failure=failure)


def stall(job: StallJob) -> Outcome:
    with sessions(job.target, job.sessions) as held:
        return Stall(job, held).run()
