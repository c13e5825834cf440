"""Jobs, as whoever asks and whoever answers sees them: one call, with its answer, its updates and its errors.

Rules
1. ``await worker.job(target, name, payload, timeout=…)`` is the whole of it: the response, or an error that says why
   there is none. In an ``async with`` it gives what comes meanwhile as ``JobEvent``s, and waits for the answer at its
   end.
2. A job lives no longer than the connection it crosses. Whoever leaves the ``async with`` early, by an exception, a
   cancellation or the timeout, cancels the job there.
3. A group asks several workers at once. With ``cancel_on_error`` the first that fails ends it for all.
4. On the answering side a method marked ``@job(name)`` runs in a task of its own and returns the response. A cancelled
   job is a cancelled task. ``JobError`` raised there is the answer "failed"; another exception is logged, and the
   answer is "error".
5. Names are Pipecat's where it has them.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias, final

from attrs import frozen

from .._documented import documented
from .._showing import shown_text
from ..errors import TransportError
from .messages import JobStatus, Payload

JobEventType: TypeAlias = Literal["update", "stream_start", "stream_data", "stream_end"]


class JobError(TransportError):
    """A job has no response. ``status`` is what the worker answered; None: it did not."""

    def __init__(
        self, reason: str, *, worker: str = "", status: JobStatus | None = None, response: Payload | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.worker = worker
        self.status = status
        self.response = response

    def __str__(self) -> str:
        reason = shown_text(self.reason)  # it may be the words of a worker elsewhere
        return f"worker {self.worker!r}: {reason}" if self.worker else reason


@final
class JobTimeoutError(JobError):
    """There was no response within ``timeout``; the job is cancelled there."""


@final
class JobCancelledError(JobError):
    """The worker says that the job was cancelled."""


@final
class WorkerGoneError(JobError):
    """The worker has ended, or its runner is not heard of any more. Another worker may be asked."""


@final
class JobGroupError(TransportError):
    """A job group has not all of its responses; ``errors`` says why, by worker."""

    def __init__(self, errors: Mapping[str, JobError]) -> None:
        super().__init__("; ".join(str(error) for error in errors.values()))
        self.errors = dict(errors)


@documented
@final
@frozen
class JobEvent:
    """What a worker tells before it answers."""

    type: JobEventType
    """An update, or the begin, a part or the end of a stream of results."""
    worker_name: str
    """Who tells it."""
    data: Payload | None = None
    """JSON values, bytes, and instances of the classes registered with the serializer; None is nothing."""
