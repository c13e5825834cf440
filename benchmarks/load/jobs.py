"""What the load is asked to do and what it answers: plain values that cross a pipe as one JSON line each."""

from collections.abc import Iterable
from typing import final

from attrs import Factory, field, frozen

from .clocks import private_bytes, process_cpu_ns, waited_ns


def _numbers(given: Iterable[int]) -> tuple[int, ...]:
    """They come as a list from JSON."""
    return tuple(given)


@final
@frozen(kw_only=True)
class Target:
    """The server under load. One that takes a single client has a port for each session."""

    ports: tuple[int, ...] = field(converter=_numbers)
    pid: int
    workers: tuple[int, ...] = field(default=(), converter=_numbers)
    """The processes that do the work, where ``pid`` only looks after them."""
    path: str = "/"
    dialect: str = "protobuf"
    """What its messages are written in: a name of ``dialects.DIALECTS``."""

    @property
    def pids(self) -> tuple[int, ...]:
        return self.workers or (self.pid,)

    def each_cpu_ns(self) -> list[int]:
        return [process_cpu_ns(pid) for pid in self.pids]

    def cpu_ns(self) -> int:
        """CPU time of all that does the work, so far."""
        return sum(self.each_cpu_ns())

    def waited_ns(self) -> int:
        """How long any of it was ready to run and had to wait for a core, so far."""
        return sum(map(waited_ns, self.pids))

    def busy_ns(self) -> int:
        """How long it worked, or would have: a server that waits for a core has something to do."""
        return self.cpu_ns() + self.waited_ns()

    def memory_bytes(self) -> int:
        return sum(map(private_bytes, self.pids))

    def port(self, session: int) -> int:
        return self.ports[session % len(self.ports)]


@final
@frozen(kw_only=True)
class Outcome:
    """What every job answers. ``numbers`` holds one value for each thing measured, ``lists`` one for each session.

    ``altered`` messages are wrong always; ``lost`` ones are wrong unless the server was overloaded.
    """

    numbers: dict[str, float] = Factory(dict)
    lists: dict[str, list[float]] = Factory(dict)
    altered: int = 0
    lost: int = 0
    examples: list[str] = Factory(list)
    failure: str = ""
    """Why the job could not be done at all: a refused handshake, a dropped connection."""
    slow: bool = False
    """The failure was that time ran out, on a machine that may just be busy."""


@final
@frozen(kw_only=True)
class EchoJob:
    """Full-duplex paced echo: every session sends a chunk each 20 ms and gets it back.

    ``arrivals``: "random", each session at a moment of its own within the 20 ms, or "together", all at one moment.
    """

    target: Target
    sessions: int
    warm_s: float
    window_s: float
    arrivals: str = "random"
    grace_s: float = 8.0
    """How long chunks that are still on their way are waited for."""


@final
@frozen(kw_only=True)
class PlaybackJob:
    """Every session asks for ``seconds`` of audio and listens. The first ``skip`` chunks are not measured."""

    target: Target
    sessions: int
    seconds: float
    skip: int = 10


@final
@frozen(kw_only=True)
class InterruptionJob:
    """Every session has audio played to it, interrupts it after ``after_s``, and waits for the last byte."""

    target: Target
    sessions: int
    after_s: float
    quiet_s: float


@final
@frozen(kw_only=True)
class ChurnJob:
    """``workers`` callers at once connect, send a chunk, get it back, close, and come again."""

    target: Target
    workers: int
    warm_s: float
    window_s: float


@final
@frozen(kw_only=True)
class HoldJob:
    """Sessions that do nothing, then talk: what each takes in memory."""

    target: Target
    few: int
    many: int
    talk_s: float
    settle_s: float


@final
@frozen(kw_only=True)
class StallJob:
    """Every session gives audio in real time, but for the holes: each its start and its length in seconds."""

    target: Target
    sessions: int
    seconds: float
    holes: tuple[tuple[float, float], ...]


@final
@frozen(kw_only=True)
class FloodJob:
    """One hostile peer: all messages of one of ``flood.FLOODS``."""

    target: Target
    kind: str


Job = EchoJob | PlaybackJob | InterruptionJob | ChurnJob | HoldJob | StallJob | FloodJob
JOBS: dict[str, type[Job]] = {
    job.__name__: job for job in (EchoJob, PlaybackJob, InterruptionJob, ChurnJob, HoldJob, StallJob, FloodJob)
}
