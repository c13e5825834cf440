"""The jobs that a worker does for others, while it runs.

Rules
1. A request comes in order with the data, and is done in a task of its own, which begins in its sender's task where no
   data is ahead of it. So does what a worker asks of itself: the handler of its data may be who waits for the answer.
   A cancellation overtakes a request: one that comes before it is remembered, the last ``MAX_EARLY`` of them. Only who
   asked for a job can cancel it.
2. What is asked of a worker at once is bounded, in jobs and in bytes: past it the answer is "failed".
3. Every job gets one answer, whatever becomes of it: a worker that ends cancels its jobs, and each still says so.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from typing import Any, Final, TypeAlias, TypeVar, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from .._documented import documented
from .bus import GOODBYE_S, Bus
from .jobs import JobError
from .messages import (
    BusJobCancelMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusJobResponseUrgentMessage,
    BusJobStreamDataMessage,
    BusJobStreamEndMessage,
    BusJobStreamStartMessage,
    BusJobUpdateMessage,
    BusJobUpdateRequestMessage,
    BusJobUpdateUrgentMessage,
    BusMessage,
    JobStatus,
    Payload,
)
from .weight import weight

MAX_JOBS: Final = 1000
MAX_JOB_BYTES: Final = 16 * 1024 * 1024
MAX_EARLY: Final = 1024
MAX_REASON: Final = 1000
"""So much of an exception's text is told: it has to fit into a message."""

Key: TypeAlias = tuple[str, str]
"""Who asked, and the job's id."""

logger = logging.getLogger(__name__)


@documented
@final
@define(eq=False)
class JobRequest:
    """One job that this worker was asked for: what a ``@job`` method is given."""

    message: BusJobRequestMessage
    """The request as it came."""
    _source: str
    _bus: Bus
    scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    """What cancels the job."""
    size_bytes: int = field(default=0, init=False)
    """How much memory it takes, in bytes."""
    is_answered: bool = field(default=False, init=False)
    """Whether the requester has its answer."""
    _update_wanted: ParkingLot | None = field(default=None, init=False)

    def __repr__(self) -> str:
        return f"<JobRequest {self.job_name!r} from {self.requester!r}>"

    @property
    def job_id(self) -> str:
        """What its messages are known by."""
        return self.message.job_id

    @property
    def job_name(self) -> str | None:
        """Which job is asked for; None is the one without a name."""
        return self.message.job_name

    @property
    def requester(self) -> str:
        """The name of the worker that asks."""
        return self.message.source

    @property
    def payload(self) -> Payload:
        """What it is to be done with; empty where nothing was given. It may come from elsewhere, so check it."""
        return self.message.payload or {}

    async def send_update(self, update: Payload | None = None, *, urgent: bool = False) -> None:
        """Tell how far it is. ``urgent`` overtakes the data that waits.

        ``update`` is whatever the requester is to know, as JSON.
        """
        kind = BusJobUpdateUrgentMessage if urgent else BusJobUpdateMessage
        await self._bus.send(kind(**self._head, update=update))

    async def send_stream_start(self, data: Payload | None = None) -> None:
        """Say that results will come one after another.

        ``data`` is told with it, as JSON.
        """
        await self._bus.send(BusJobStreamStartMessage(**self._head, data=data))

    async def send_stream_data(self, data: Payload | None = None) -> None:
        """Send one of the results.

        ``data`` is the result, as JSON.
        """
        await self._bus.send(BusJobStreamDataMessage(**self._head, data=data))

    async def send_stream_end(self, data: Payload | None = None) -> None:
        """End the stream, and with it the job: ``data`` is the response."""
        if not self.is_answered:
            await self._bus.send(BusJobStreamEndMessage(**self._head, data=data))
            self.is_answered = True

    async def send_response(
        self, response: Payload | None = None, *, status: JobStatus = "completed", urgent: bool = False
    ) -> None:
        """Answer before the method returns. The first answer counts; further ones are not sent.

        ``response`` is the answer, as JSON; ``status`` other than "completed" is an error at the requester's;
        ``urgent`` overtakes the data that waits.
        """
        if not self.is_answered:
            kind = BusJobResponseUrgentMessage if urgent else BusJobResponseMessage
            await self._bus.send(kind(**self._head, status=status, response=response))
            self.is_answered = True

    def _respond_now(self, response: Payload | None) -> bool:
        """Answer without a checkpoint, at the end of a task; False where that has to wait."""
        if self.is_answered:
            return True
        answer = BusJobResponseMessage(
            source=self._source, target=self.requester, job_id=self.job_id, status="completed", response=response
        )
        self.is_answered = self._bus.send_now(answer)
        return self.is_answered

    async def update_wanted(self) -> None:
        """Wait until the requester asks how far it is."""
        if self._update_wanted is None:
            self._update_wanted = ParkingLot()
        await self._update_wanted.park()

    def _want_update(self) -> None:
        """Wake ``update_wanted``: the worker's own business."""
        if self._update_wanted is not None:
            self._update_wanted.unpark_all()

    @property
    def _head(self) -> dict[str, Any]:
        return {"source": self._source, "target": self.requester, "job_id": self.job_id}


JobMethod = TypeVar("JobMethod", bound=Callable[[Any, JobRequest], Awaitable[Payload | None]])
JobHandler: TypeAlias = Callable[[JobRequest], Awaitable[Payload | None]]

_MARK: Final = "_bus_job"


def job(name: str, *, sequential: bool = False) -> Callable[[JobMethod], JobMethod]:
    """Mark a worker's method as the one that does the jobs called ``name``; ``sequential``: one after the other."""
    if not isinstance(name, str):
        raise TypeError(f"a job is marked with its name, @job({'name'!r}), not with {name!r}")

    def mark(method: JobMethod) -> JobMethod:
        setattr(method, _MARK, (name, sequential))
        return method

    return mark


def jobs_of(worker: object) -> dict[str, tuple[JobHandler, bool]]:
    """The jobs of a worker by their names, and whether each is sequential."""
    found: dict[str, tuple[JobHandler, bool]] = {}
    for attribute in dir(type(worker)):
        marked = getattr(getattr(type(worker), attribute, None), _MARK, None)
        if marked is None:
            continue
        name, sequential = marked
        if name in found:
            raise ValueError(f"{type(worker).__name__} has two jobs named {name!r}: give each a name of its own")
        found[name] = (getattr(worker, attribute), sequential)
    return found


@final
@define(eq=False)
class DoneJobs:
    """The jobs that a worker does for others."""

    _source: str
    _handlers: dict[str, tuple[JobHandler, bool]]
    _otherwise: JobHandler | None
    """What does the jobs that have no name, or none that is known."""
    _bus: Bus
    _running: dict[Key, JobRequest] = field(factory=dict, init=False)
    _turns: dict[str, deque[trio.Event]] = field(factory=dict, init=False)
    """Of each sequential job, the turn of the one that is done now, and of those that wait for it."""
    _early: OrderedDict[Key, None] = field(factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)
    _begin: Callable[..., None] | None = field(default=None, init=False)
    """Starts a task, while there may be some."""
    _context: Context = field(factory=copy_context, init=False)
    """The worker's own, which its jobs have too, whoever's task they begin in."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Do jobs while the body runs; it ends with the last of them."""
        async with trio.open_nursery() as nursery:
            self._begin, self._context = nursery.start_soon, copy_context()
            try:
                yield
            finally:
                self._begin = None

    def does(self, name: str | None) -> bool:
        """Whether there is a handler for a job of that name."""
        return self._handlers.get(name or "", (self._otherwise, False))[0] is not None

    def accept_now(self, message: BusJobRequestMessage) -> bool:
        """Begin the job in this moment; False where there is more to say, and ``accept`` has to."""
        key = (message.source, message.job_id)
        if self._begin is None or key in self._early or key in self._running or not self.does(message.job_name):
            return False
        request = JobRequest(message, self._source, self._bus)
        if not self._has_room(request):
            return False
        handler, sequential = self._handlers.get(message.job_name or "", (self._otherwise, False))
        self._running[key] = request
        self._bytes += request.size_bytes
        if sequential:
            turns = self._turns.setdefault(message.job_name or "", deque())
            turns.append(trio.Event())
            turns[0].set()
            self._context.run(self._begin, self._do_in_turn, request, handler, turns, turns[-1])
        else:
            self._context.run(self._begin, self._do, request, handler)
        return True

    async def accept(self, message: BusMessage) -> bool:
        """Do the job in a task of its own; False if it is none, or nobody here does such jobs."""
        if not isinstance(message, BusJobRequestMessage) or message.target != self._source:
            return False
        if not self.does(message.job_name):
            return False
        if self.accept_now(message):
            return True
        request = JobRequest(message, self._source, self._bus)
        key = (message.source, message.job_id)
        if key in self._early:
            del self._early[key]
            await request.send_response(status="cancelled")
        elif key in self._running:
            logger.warning("%s: %r asked twice for one job; it is done once", self._source, message.source[:100])
        else:
            await request.send_response({"error": "too many jobs at once: try again later"}, status="failed")
        return True

    def cancel(self, message: BusJobCancelMessage) -> None:
        """End a job that runs. One that has not begun yet is remembered, and will not begin."""
        key = (message.source, message.job_id)
        request = self._running.get(key)
        if request is not None:
            request.scope.cancel()
            return
        self._early[key] = None
        if len(self._early) > MAX_EARLY:
            self._early.popitem(last=False)

    def lose(self, requester: str, jobs: frozenset[str]) -> None:
        """Cancel those of ``jobs`` that ``requester`` asked for: nobody would hear the answer."""
        for request in self._running.values():
            if request.requester == requester and request.job_id in jobs:
                request.scope.cancel()

    def want_update(self, message: BusJobUpdateRequestMessage) -> bool:
        """Tell the job that its requester asks how far it is; False if it is not done here."""
        request = self._running.get((message.source, message.job_id))
        if request is not None:
            request._want_update()
        return request is not None

    def _has_room(self, request: JobRequest) -> bool:
        if not self._running:
            return True  # one job has always room, and need not be weighed
        request.size_bytes = weight(request.message)
        return len(self._running) < MAX_JOBS and self._bytes + request.size_bytes <= MAX_JOB_BYTES

    async def _do_in_turn(
        self, request: JobRequest, handler: JobHandler, turns: deque[trio.Event], turn: trio.Event
    ) -> None:
        try:
            await self._do(request, handler, turn)
        finally:
            turns.remove(turn)
            if turns:
                turns[0].set()

    async def _do(self, request: JobRequest, handler: JobHandler, turn: trio.Event | None = None) -> None:
        try:
            with request.scope:
                if turn is not None:
                    await turn.wait()
                await self._answer(request, handler)
        finally:
            if not request.is_answered:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE_S):
                    await request.send_response(status="cancelled")
            del self._running[(request.requester, request.job_id)]
            self._bytes -= request.size_bytes

    async def _answer(self, request: JobRequest, handler: JobHandler) -> None:
        try:
            try:
                response = await handler(request)
                if not request._respond_now(response):
                    await request.send_response(response)
            except JobError as exc:
                await request.send_response({"error": exc.reason, **(exc.response or {})}, status="failed")
        except Exception as exc:  # the boundary between one job and the worker; an answer nobody can write is one too
            logger.exception("%s: the job %r failed", self._source, request.job_name)
            reason = f"{type(exc).__name__}: {exc}"[:MAX_REASON]
            await request.send_response({"error": reason}, status="error")
