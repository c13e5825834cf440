"""The jobs that a worker asks of others, while it runs.

Rules
1. Answers are taken at the tap of the worker's subscription, in the sender's task: a worker may wait for a job inside
   the handler of a message. Ids begin with the worker's own prefix, so a late answer is known as such and dropped.
2. A request waits until its worker is ready, as far as the registry knows.
3. A worker that has failed, ended, or is not heard of any more answers nothing: what it was asked fails at once. So
   does what was asked over a connection that is lost, though another one may come, or be there already.
4. Events wait for whoever reads them; past ``MAX_EVENTS`` or their bytes the oldest is dropped and counted.
"""

import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Mapping
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar, assert_never, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from .bus import GOODBYE_S, Bus
from .jobs import JobCancelledError, JobError, JobEvent, JobGroupError, JobTimeoutError, WorkerGoneError
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
    BusWorkerErrorMessage,
    BusWorkerLocalErrorMessage,
    BusWorkerLostMessage,
    Payload,
    WorkerReadyData,
)
from .registry import WorkerRegistry
from .weight import payload_weight

T = TypeVar("T")

MAX_EVENTS: Final = 1024
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024

_Reply: TypeAlias = (
    BusJobResponseMessage
    | BusJobResponseUrgentMessage
    | BusJobUpdateMessage
    | BusJobUpdateUrgentMessage
    | BusJobStreamStartMessage
    | BusJobStreamDataMessage
    | BusJobStreamEndMessage
)
_REPLIES: Final = (
    BusJobResponseMessage,
    BusJobStreamDataMessage,
    BusJobUpdateMessage,
    BusJobResponseUrgentMessage,
    BusJobUpdateUrgentMessage,
    BusJobStreamStartMessage,
    BusJobStreamEndMessage,
)
_ERRORS: Final = (BusWorkerErrorMessage, BusWorkerLocalErrorMessage)


@final
@define(eq=False)
class Pending:
    """One job that is asked of one or several workers. ``missed`` events were more than anybody read."""

    job_id: str
    workers: tuple[str, ...]
    cancel_on_error: bool
    responses: dict[str, Payload] = field(factory=dict, init=False)
    errors: dict[str, JobError] = field(factory=dict, init=False)
    unanswered: list[str] = field(init=False)
    missed: int = field(default=0, init=False)
    wants_events: bool = field(default=True, init=False)
    _events: deque[tuple[JobEvent, int]] = field(factory=deque, init=False)
    """Each with its weight."""
    _bytes: int = field(default=0, init=False)
    _changed: ParkingLot = field(factory=ParkingLot, init=False)

    def __attrs_post_init__(self) -> None:
        self.unanswered = [*self.workers]

    @property
    def is_done(self) -> bool:
        return not self.unanswered or bool(self.cancel_on_error and self.errors)

    def tell(self, event: JobEvent) -> None:
        """Queue an event for the asker, if it reads events; past the bounds the oldest goes and is counted."""
        if not self.wants_events:
            return
        # The one that is first is read at once, or is all that there is: it need not be weighed.
        self._events.append((event, payload_weight(event.data) if self._events else 0))
        self._bytes += self._events[-1][1]
        while len(self._events) > MAX_EVENTS or (len(self._events) > 1 and self._bytes > MAX_EVENT_BYTES):
            self._bytes -= self._events.popleft()[1]
            self.missed += 1
        self._changed.unpark_all()

    def answer(self, worker: str, answer: Payload | JobError) -> None:
        """The first answer of each worker counts."""
        if worker in self.unanswered:
            self.unanswered.remove(worker)
            if isinstance(answer, JobError):
                self.errors[worker] = answer
            else:
                self.responses[worker] = answer
            self._changed.unpark_all()

    async def next_event(self) -> JobEvent | None:
        """The next event; None when there will be none. Cancelling it loses nothing."""
        await trio.lowlevel.checkpoint()
        while not self._events:
            if self.is_done:
                return None
            await self._changed.park()
        event, size_bytes = self._events.popleft()
        self._bytes -= size_bytes
        return event

    async def wait(self) -> None:
        """Until the job is done. Cancelling it loses nothing."""
        if self.is_done:
            await trio.lowlevel.checkpoint()
        while not self.is_done:
            await self._changed.park()

    async def wait_until(self, is_so: Callable[[], bool]) -> bool:
        """Wait until ``is_so``, which ``look_again`` asks for; False if the job is over before that."""
        while not self.is_done:
            if is_so():
                return True
            await self._changed.park()
        return False

    def look_again(self) -> None:
        """Wake whoever waits: something has changed."""
        self._changed.unpark_all()


@final
@define(eq=False)
class AskedJobs:
    """The jobs that a worker asks of others."""

    _source: str
    _registry: WorkerRegistry
    _bus: Bus
    _prefix: str = field(factory=lambda: f"{secrets.token_hex(8)}-", init=False)
    _numbers: "count[int]" = field(factory=count, init=False)
    _pending: dict[str, Pending] = field(factory=dict, init=False)

    def open(self, workers: tuple[str, ...], *, cancel_on_error: bool) -> Pending:
        """Remember a job that is about to be asked; its number is new."""
        pending = Pending(f"{self._prefix}{next(self._numbers)}", workers, cancel_on_error)
        self._pending[pending.job_id] = pending
        return pending

    async def ask(self, pending: Pending, name: str | None, payload: Payload | None, *, wait_ready: bool) -> None:
        """Send the requests, each once its worker is ready: one that is late holds up no other."""
        unasked = [*pending.workers]
        while unasked:
            worker = unasked[0]
            if wait_ready:
                ready = await self._next_ready(unasked, pending)
                if ready is None:
                    return
                worker = ready
            unasked.remove(worker)
            request = BusJobRequestMessage(
                source=self._source, target=worker, job_id=pending.job_id, job_name=name, payload=payload
            )
            if not self._bus.send_now(request):
                await self._bus.send(request)

    async def leave(self, pending: Pending, reason: str) -> None:
        """Cancel what is not answered: nobody waits for it any longer."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE_S):
            for worker in [*pending.unanswered]:
                await self._bus.send(
                    BusJobCancelMessage(source=self._source, target=worker, job_id=pending.job_id, reason=reason)
                )

    def forget(self, pending: Pending) -> bool:
        """Nobody waits for ``pending`` any longer; whether there is somebody to ``leave``."""
        self._pending.pop(pending.job_id, None)
        return bool(pending.unanswered)

    async def request_update(self, pending: Pending) -> None:
        for worker in [*pending.unanswered]:
            await self._bus.send(BusJobUpdateRequestMessage(source=self._source, target=worker, job_id=pending.job_id))

    def take(self, message: BusMessage) -> bool:
        """Take an answer to a job of this worker's; it is called for every message on the bus (rule 1)."""
        if message.target == self._source and isinstance(message, _REPLIES):
            if not message.job_id.startswith(self._prefix):
                return False
            pending = self._pending.get(message.job_id)
            if pending is not None:
                self._reply(pending, message)
            return True
        if self._pending:
            if isinstance(message, _ERRORS):
                self._fail(message.source, f"it failed: {message.error}")
            elif isinstance(message, BusWorkerLostMessage) and message.local == self._source:
                self._fail(message.source, "the connection to it was lost", message.jobs)
        return False

    def _reply(self, pending: Pending, message: _Reply) -> None:
        source = message.source
        match message:
            case BusJobResponseMessage() | BusJobResponseUrgentMessage():
                if message.status == "completed":
                    pending.answer(source, message.response or {})
                else:
                    reason = str((message.response or {}).get("error", f"the job ended as {message.status}"))
                    kind = JobCancelledError if message.status == "cancelled" else JobError
                    pending.answer(
                        source, kind(reason, worker=source, status=message.status, response=message.response)
                    )
            case BusJobUpdateMessage() | BusJobUpdateUrgentMessage():
                pending.tell(JobEvent("update", source, message.update))
            case BusJobStreamStartMessage():
                pending.tell(JobEvent("stream_start", source, message.data))
            case BusJobStreamDataMessage():
                pending.tell(JobEvent("stream_data", source, message.data))
            case BusJobStreamEndMessage():
                pending.tell(JobEvent("stream_end", source, message.data))
                pending.answer(source, message.data or {})
            case _:
                assert_never(message)

    async def _next_ready(self, unasked: list[str], pending: Pending) -> str | None:
        """Wait until one of them is ready; None if there is none left that has not failed before that."""

        def ready() -> str | None:
            return next((worker for worker in unasked if worker in self._registry), None)

        def is_over() -> bool:
            unasked[:] = [one for one in unasked if one not in pending.errors and one not in pending.responses]
            return not unasked or ready() is not None

        def seen(data: WorkerReadyData) -> None:
            pending.look_again()

        if is_over():
            return ready()
        for worker in unasked:
            self._registry.watch(worker, seen)
        try:
            await pending.wait_until(is_over)
            return None if pending.is_done else ready()
        finally:
            self._registry.unwatch(seen)

    def lose(self, worker: str) -> None:
        """Fail what this worker was asked and has not answered."""
        self._fail(worker, "it has ended, or is not heard of any more")

    def _fail(self, worker: str, reason: str, jobs: frozenset[str] | None = None) -> None:
        for pending in self._pending.values():
            if jobs is None or pending.job_id in jobs:
                pending.answer(worker, WorkerGoneError(reason, worker=worker))


@define(eq=False)
class _Context(ABC):
    """What the two contexts share."""

    _asked: AskedJobs
    _workers: tuple[str, ...]
    _name: str | None
    _payload: Payload | None
    _timeout: float | None = None
    _wait_ready: bool = True
    _cancel_on_error: bool = True
    _deadline_s: float = field(default=float("inf"), init=False)
    _pending: Pending | None = field(default=None, init=False)

    @property
    def job_id(self) -> str:
        """What its messages are known by."""
        return self._begun.job_id

    @property
    def missed(self) -> int:
        """Events that were dropped because nobody read them in time."""
        return self._begun.missed

    async def request_update(self) -> None:
        """Ask the workers that have not answered how far they are."""
        await self._asked.request_update(self._begun)

    async def __aenter__(self) -> Self:
        if self._timeout is not None:
            self._deadline_s = trio.current_time() + self._timeout
        self._pending = self._asked.open(self._workers, cancel_on_error=self._cancel_on_error)
        try:
            await self._within(self._asked.ask(self._pending, self._name, self._payload, wait_ready=self._wait_ready))
        except BaseException:  # however it is left, the job is cancelled there; then it is raised again
            if self._asked.forget(self._pending):
                await self._asked.leave(self._pending, "the requester gave up")
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pending = self._begun
        pending.wants_events = False
        try:
            if kind is None:
                await self._within(pending.wait())
        finally:
            if self._asked.forget(pending):
                await self._asked.leave(pending, "the requester does not wait any longer")
        if kind is None:
            self._raise_errors(pending)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        event = await self._within(self._begun.next_event())
        if event is None:
            raise StopAsyncIteration
        return event

    @property
    def _begun(self) -> Pending:
        if self._pending is None:
            raise RuntimeError("the job has not begun: write ``async with worker.job(...) as job``")
        return self._pending

    async def _within(self, waiting: Awaitable[T]) -> T:
        # Whoever comes late to a job that is answered is given the answer: a deadline ends only what is missing.
        if self._timeout is None or self._begun.is_done:
            return await waiting
        with trio.CancelScope(deadline=self._deadline_s):
            return await waiting
        missing = ", ".join(self._begun.unanswered)
        raise JobTimeoutError(f"no answer from {missing} within {self._timeout:g} s", worker=missing)

    @abstractmethod
    def _raise_errors(self, pending: Pending) -> None:
        """Raise what the answers make of the job, if they are errors."""


@final
class JobContext(_Context):
    """One job, made by ``Worker.job``: await it, or read its events in an ``async with``."""

    @property
    def response(self) -> Payload:
        """What the worker answered; there once the ``async with`` has ended."""
        return self._begun.responses[self._workers[0]]

    def __await__(self) -> Generator[Any, Any, Payload]:
        return self._whole().__await__()

    async def _whole(self) -> Payload:
        async with self:
            pass
        return self.response

    def _raise_errors(self, pending: Pending) -> None:
        for error in pending.errors.values():
            raise error


@final
class JobGroupContext(_Context):
    """One job asked of several workers, made by ``Worker.job_group``: await it, or read its events."""

    @property
    def responses(self) -> Mapping[str, Payload]:
        """The answers so far, by worker."""
        return self._begun.responses

    @property
    def errors(self) -> Mapping[str, JobError]:
        """Who has failed; without ``cancel_on_error`` that ends nothing and raises nothing."""
        return self._begun.errors

    def __await__(self) -> Generator[Any, Any, Mapping[str, Payload]]:
        return self._whole().__await__()

    async def _whole(self) -> Mapping[str, Payload]:
        async with self:
            pass
        return self.responses

    def _raise_errors(self, pending: Pending) -> None:
        if pending.errors and pending.cancel_on_error:
            raise JobGroupError(pending.errors)
