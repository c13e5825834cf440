"""Callers that come and go: connect, shake hands, one chunk there and back, close, and the next.

Rules
1. ``workers`` callers are under way at any time, each a small state machine: a closed loop, whose rate is the
   server's.
2. A call is whole once the echo was right and the server answered the Close with 1000.
3. A call that breaks is lost. One that takes more than ten seconds is given up and counted as slow.
"""

import select
import socket
import time
from typing import final

from ..messages import AUDIO_TAG
from .dialects import DIALECTS, Check
from .echo import percentile
from .jobs import ChurnJob, Outcome
from .sessions import READABLE
from .verify import Faults
from .websocket import SO_TIMESTAMPNS, BrokenServer, Connection, close_frame, handshake_request

PATIENCE_S = 10.0


@final
class Call:
    """One caller on its way: ``connection`` is None until the handshake is done."""

    def __init__(self, port: int, worker: int) -> None:
        self.worker = worker
        self.port = port
        self.began = time.monotonic()
        self.answer = b""
        self.connection: Connection | None = None
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.connect_ex(("127.0.0.1", port))


@final
class Churn:
    def __init__(self, job: ChurnJob) -> None:
        self._job = job
        self._dialect = DIALECTS[job.target.dialect]()
        self._poll = select.epoll()
        self._calls: dict[int, Call] = {}
        self._checks: dict[int, Check] = {}
        self._close = close_frame()
        self.faults = Faults()
        self._stopping = False
        self.done = self.slow = 0
        self.took_ms: list[float] = []

    def _dial(self, worker: int) -> None:
        call = Call(self._job.target.port(worker), worker)
        self._calls[call.sock.fileno()] = call
        self._poll.register(call.sock.fileno(), select.EPOLLOUT)

    def _hang_up(self, fd: int) -> None:
        call = self._calls.pop(fd)
        self._checks.pop(fd, None)
        self._poll.unregister(fd)
        call.sock.close()
        if not self._stopping:
            self._dial(call.worker)

    def _lose(self, fd: int, why: str) -> None:
        self.faults.lost += 1
        self.faults.add(why)
        self._hang_up(fd)

    def _step(self, fd: int, call: Call) -> None:
        if call.connection is None:
            data = call.sock.recv(4096)
            if not data:
                raise BrokenServer(f"closed in the handshake, after {call.answer[:100]!r}")
            call.answer += data
            if b"\r\n\r\n" in call.answer:
                call.connection = Connection(call.sock, call.worker)
                call.connection.take_handshake(call.answer)
                check = self._dialect.check(call.worker + self.done, self.faults)
                self._checks[fd] = check
                check.sent = 1
                call.connection.send(self._dialect.greeting() + self._dialect.frames[check.slot(0)])
            return
        check = self._checks[fd]
        _, messages = call.connection.receive()
        for message in messages:
            if check.expected:
                # Silence after the last word is allowed while the goodbye is under way.
                if message[0] == AUDIO_TAG:
                    check.answer(message)
            elif check.answer(message) is not None:
                call.connection.send(self._close)
        if (code := call.connection.close_code) is not None:
            if not check.expected:
                raise BrokenServer(f"closed with {code} before the echo came")
            if code != 1000:
                self.faults.add(f"a Close with 1000 was answered with {code}")
                self.faults.altered += 1
            self.done += 1
            self.took_ms.append((time.monotonic() - call.began) * 1000)
            self._hang_up(fd)

    def _turn(self) -> None:
        for fd, event in self._poll.poll(0.1):
            call = self._calls[fd]
            try:
                if event & select.EPOLLOUT:
                    call.sock.sendall(handshake_request(call.port, self._job.target.path))
                    self._poll.modify(fd, READABLE)
                else:
                    self._step(fd, call)
            except (OSError, BrokenServer) as exc:
                self._lose(fd, str(exc))
        now = time.monotonic()
        for fd, call in [*self._calls.items()]:
            if now - call.began > PATIENCE_S:
                self.slow += 1
                self._hang_up(fd)

    def run(self) -> Outcome:
        job = self._job
        for worker in range(job.workers):
            self._dial(worker)
        start = time.monotonic()
        marks = []
        for moment in (start + job.warm_s, start + job.warm_s + job.window_s):
            while time.monotonic() < moment:
                self._turn()
            marks.append(
                (time.monotonic(), job.target.cpu_ns(), time.process_time_ns(), job.target.waited_ns(), self.done)
            )
            if len(marks) == 1:
                self.took_ms.clear()
        took_ms = sorted(self.took_ms)
        self._stopping = True
        deadline = time.monotonic() + PATIENCE_S
        while self._calls and time.monotonic() < deadline:
            self._turn()
        wall_s, server_ns, load_ns, waited, done = (b - a for a, b in zip(*marks, strict=True))
        return Outcome(
            numbers={
                "window_s": wall_s,
                "calls": done,
                "slow_calls": self.slow,
                "server_cpu_s": server_ns / 1e9,
                "load_cpu_s": load_ns / 1e9,
                "server_waited_s": waited / 1e9,
                "call_p50_ms": percentile(took_ms, 0.5),
                "call_p99_ms": percentile(took_ms, 0.99),
            },
            altered=self.faults.altered,
            lost=self.faults.lost,
            examples=self.faults.examples,
        )

    def close(self) -> None:
        for call in self._calls.values():
            call.sock.close()
        self._poll.close()


def churn(job: ChurnJob) -> Outcome:
    load = Churn(job)
    try:
        return load.run()
    finally:
        load.close()
