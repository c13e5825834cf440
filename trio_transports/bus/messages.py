"""What travels on a bus: one small value for each kind of message, with the names and fields of Pipecat's family.

Rules
1. A message is a frozen, keyword-only attrs value. ``source`` says who sent it, ``target`` for whom it is (None: all).
2. Its base says how it is delivered: a ``BusSystemMessage`` overtakes the ``BusDataMessage`` that wait.
3. A ``BusLocalMessage`` never leaves the process: no serializer writes one, no proxy sends one.
4. The family is open, unlike frames: subclass ``BusDataMessage`` or ``BusSystemMessage``, and ``register`` the class
   with the serializer under a name of its own.
5. ``id`` and ``name`` are carried for peers that number their messages; nothing in the library depends on them.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Protocol, TypeAlias

from attrs import Attribute, field, frozen
from attrs.validators import in_

from .._documented import documented
from ..frames import Frame

FrameDirection: TypeAlias = Literal["DOWNSTREAM", "UPSTREAM"]
"""Which way a frame travels in the recipient's pipeline, in Pipecat's words."""
FrameRole: TypeAlias = Literal["input", "output"]
"""Whether a frame came in from a caller or goes out to one."""
JobStatus: TypeAlias = Literal["completed", "cancelled", "failed", "error"]
"""How a job came out."""

Content: TypeAlias = Annotated[object, "any value that a payload may hold"]
Payload: TypeAlias = Mapping[str, object]
"""JSON values, bytes, and instances of the classes registered with the serializer."""


def _is_name(message: object, attribute: "Attribute[str]", value: object) -> None:
    # By hand, and not with the validators of attrs: it runs twice for each message.
    if type(value) is not str and not isinstance(value, str):
        raise TypeError(f"{type(message).__name__}.{attribute.name} must be the name of a worker, not {value!r}")


def _is_name_or_none(message: object, attribute: "Attribute[str | None]", value: object) -> None:
    if value is not None and type(value) is not str and not isinstance(value, str):
        raise TypeError(f"{type(message).__name__}.{attribute.name} must be a worker's name or None, not {value!r}")


def _entries(value: "Iterable[WorkerRegistryEntry]") -> "tuple[WorkerRegistryEntry, ...]":
    return tuple(value)


@documented
@frozen(kw_only=True)
class BusMessage:
    """What every message on the bus has."""

    source: str = field(validator=_is_name)
    """The name of the worker, or runner, that sends it. From a peer it is only believed where a proxy vouches for
    it."""
    target: str | None = field(default=None, validator=_is_name_or_none)
    """The name of the worker that it is for; None is everybody."""
    id: int = 0
    """A number that Pipecat gives its messages; nothing here goes by it."""
    name: str = ""
    """A name that Pipecat gives its messages; nothing here goes by it."""


class BusLocalMessage:
    """Marks a message that never leaves the process."""

    __slots__ = ()


@documented
@frozen(kw_only=True)
class BusDataMessage(BusMessage):
    """Delivered in order."""


@documented
@frozen(kw_only=True)
class BusSystemMessage(BusMessage):
    """Delivered ahead of the data that waits."""


@frozen(kw_only=True)
class CustomFrame:
    """Subclass it for frames of your own, and ``register`` each with the serializer: they travel on the bus only."""


BusFrame: TypeAlias = Frame | CustomFrame
"""What a ``BusFrameMessage`` carries: a frame of this library, or one of the application's own."""


@documented
@frozen(kw_only=True)
class BusOpaqueMessage(BusDataMessage):
    """A message of a kind that is not known here, as it came, for a serializer with ``pass_unknown``.

    It is passed on unchanged, byte for byte. A proxy lets it through by ``target``, as it does any other, and without
    one where ``forward_messages`` names this class.
    """

    type_name: str
    """What the sender calls its kind."""
    bridge: str | None = None
    """The bridge that it is for, where it names one."""
    hops: int = 0
    """How many peers have read it on its way here: one that has gone round is not read any more."""
    data: bytes = field(repr=False)
    """The message as it came, byte for byte."""


@documented
@frozen(kw_only=True)
class BusFrameMessage(BusDataMessage):
    """One of our frames, or one of the application's own.

    ``direction`` is Pipecat's: which way the frame travels in the recipient's pipeline. ``role`` says whether the frame
    came in from a caller or goes out to one, which chooses between Pipecat's two names for audio, messages and digits.
    """

    frame: BusFrame
    """The frame."""
    direction: FrameDirection = field(default="DOWNSTREAM", validator=in_(("DOWNSTREAM", "UPSTREAM")))
    """Which way it travels in the recipient's pipeline."""
    bridge: str | None = None
    """The bridge that it belongs to; None: any."""
    role: FrameRole = field(default="output", validator=in_(("input", "output")))
    """Whether it came in from a caller (``input``) or goes out to one: of two names for one frame, Pipecat's peers take
    this as the choice."""


@documented
@frozen(kw_only=True)
class BusTTSSpeakMessage(BusDataMessage):
    """Asks a worker to say ``text``."""

    text: str
    """What to say."""
    append_to_context: bool = True
    """Whether the model is told that it was said."""


@documented
@frozen(kw_only=True)
class BusFlushProgressMessage(BusDataMessage):
    """A flush that another worker waits for is still making progress."""

    flush_id: int
    """Which flush, by its number."""


@documented
@frozen(kw_only=True)
class BusActivateWorkerMessage(BusDataMessage):
    """Tells a worker to take messages from now on."""

    args: Payload | None = None
    """What ``on_activated`` is given. JSON values, bytes, and instances of the classes registered with the serializer;
    None is nothing."""


@documented
@frozen(kw_only=True)
class BusDeactivateWorkerMessage(BusDataMessage):
    """Tells a worker to stop taking messages until it is activated again."""


@documented
@frozen(kw_only=True)
class BusEndMessage(BusDataMessage):
    """Asks the runner to end all its workers in good order."""

    reason: str | None = None
    """Why, for whoever is told; None says nothing."""


@documented
@frozen(kw_only=True)
class BusEndWorkerMessage(BusDataMessage):
    """Tells a worker to end once it has handled what was sent before."""

    reason: str | None = None
    """Why, for whoever is told; None says nothing."""


@documented
@frozen(kw_only=True)
class BusCancelMessage(BusSystemMessage):
    """Asks the runner to cancel all its workers."""

    reason: str | None = None
    """Why, for whoever is told; None says nothing."""


@documented
@frozen(kw_only=True)
class BusCancelWorkerMessage(BusSystemMessage):
    """Cancels a worker where it stands."""

    reason: str | None = None
    """Why, for whoever is told; None says nothing."""


@documented
@frozen(kw_only=True)
class WorkerRegistryEntry:
    """One worker in a runner's registry."""

    name: str
    """Its name, by which it is addressed."""
    parent: str | None = None
    """The worker that added it, which it does not outlive; None: none."""
    active: bool = False
    """Whether it takes messages."""
    bridged: bool = False
    """Whether it serves callers that are somewhere else."""
    started_at: float | None = None
    """When it began, as Unix time in seconds; None where that is not told."""


@documented
@frozen(kw_only=True)
class WorkerReadyData:
    """A worker that is ready to take messages, and the runner it runs on."""

    worker_name: str
    """Its name."""
    runner: str
    """The name of the runner that it runs on."""
    entry: WorkerRegistryEntry
    """What the registry has of it."""


class AnyWorker(Protocol):
    """A worker, as far as messages know: these come before workers."""

    name: str
    parent: str | None


@documented
@frozen(kw_only=True)
class BusAddWorkerMessage(BusSystemMessage, BusLocalMessage):
    """Asks the local runner to run ``worker``."""

    worker: AnyWorker
    """The worker to run."""


@documented
@frozen(kw_only=True)
class BusWorkerRegistryMessage(BusSystemMessage):
    """The workers of one runner, for the others to know."""

    runner: str
    """The runner's name."""
    workers: tuple[WorkerRegistryEntry, ...] = field(converter=_entries)
    """All workers that it has."""
    alive_for_s: float | None = None
    """It says so again within that many seconds, or its workers are gone. None: it says so once."""


@documented
@frozen(kw_only=True)
class BusWorkerReadyMessage(BusDataMessage):
    """Worker ``source`` takes messages from now on."""

    runner: str
    """The runner that it runs on."""
    parent: str | None = None
    """The worker that added it; None: none."""
    active: bool = False
    """Whether it takes messages."""
    bridged: bool = False
    """Whether it serves callers that are somewhere else."""
    started_at: float | None = None
    """When it began, as Unix time in seconds."""


@documented
@frozen(kw_only=True)
class BusWorkerErrorMessage(BusSystemMessage):
    """Worker ``source`` failed and has ended."""

    error: str
    """The exception, in one line."""


@documented
@frozen(kw_only=True)
class BusWorkerLocalErrorMessage(BusSystemMessage, BusLocalMessage):
    """A child worker failed; told to its parent only."""

    error: str
    """The exception, in one line."""


@documented
@frozen(kw_only=True)
class BusJobRequestMessage(BusDataMessage):
    """Asks a worker to do a job."""

    job_id: str
    """Which job it is about: the id that its request has."""
    job_name: str | None = None
    """Which job, as ``@job`` names it; None is the one without a name."""
    payload: Payload | None = None
    """What it is done with. JSON values, bytes, and instances of the classes registered with the serializer; None is
    nothing."""


@documented
@frozen(kw_only=True)
class BusJobResponseMessage(BusDataMessage):
    """How a job came out."""

    job_id: str
    """Which job it is about: the id that its request has."""
    status: JobStatus
    """``completed``, or why there is no result."""
    response: Payload | None = None
    """What came of it. JSON values, bytes, and instances of the classes registered with the serializer; None is
    nothing."""


@documented
@frozen(kw_only=True)
class BusJobResponseUrgentMessage(BusSystemMessage):
    """How a job came out, ahead of the data that waits."""

    job_id: str
    """Which job it is about: the id that its request has."""
    status: JobStatus
    """``completed``, or why there is no result."""
    response: Payload | None = None
    """What came of it. JSON values, bytes, and instances of the classes registered with the serializer; None is
    nothing."""


@documented
@frozen(kw_only=True)
class BusJobUpdateMessage(BusDataMessage):
    """How far a job is."""

    job_id: str
    """Which job it is about: the id that its request has."""
    update: Payload | None = None
    """JSON values, bytes, and instances of the classes registered with the serializer; None is nothing."""


@documented
@frozen(kw_only=True)
class BusJobUpdateUrgentMessage(BusSystemMessage):
    """How far a job is, ahead of the data that waits."""

    job_id: str
    """Which job it is about: the id that its request has."""
    update: Payload | None = None
    """JSON values, bytes, and instances of the classes registered with the serializer; None is nothing."""


@documented
@frozen(kw_only=True)
class BusJobUpdateRequestMessage(BusDataMessage):
    """Asks how far a job is."""

    job_id: str
    """Which job it is about: the id that its request has."""


@documented
@frozen(kw_only=True)
class BusJobCancelMessage(BusSystemMessage):
    """Tells a worker to give a job up."""

    job_id: str
    """Which job it is about: the id that its request has."""
    reason: str | None = None
    """Why, for whoever is told; None says nothing."""


@documented
@frozen(kw_only=True)
class BusJobStreamStartMessage(BusDataMessage):
    """A job's results begin to come, one after another."""

    job_id: str
    """Which job it is about: the id that its request has."""
    data: Payload | None = None
    """JSON values, bytes, and instances of the classes registered with the serializer; None is nothing."""


@documented
@frozen(kw_only=True)
class BusJobStreamDataMessage(BusDataMessage):
    """One of a job's results."""

    job_id: str
    """Which job it is about: the id that its request has."""
    data: Payload | None = None
    """JSON values, bytes, and instances of the classes registered with the serializer; None is nothing."""


@documented
@frozen(kw_only=True)
class BusJobStreamEndMessage(BusDataMessage):
    """The last of a job's results, and its end."""

    job_id: str
    """Which job it is about: the id that its request has."""
    data: Payload | None = None
    """JSON values, bytes, and instances of the classes registered with the serializer; None is nothing."""


@documented
@frozen(kw_only=True)
class BusGapMessage(BusDataMessage, BusLocalMessage):
    """Messages are missing at this place. It is made on this side, and reaches every subscriber that lost something."""

    missed: int | None
    """How many are missing; None where nobody can know."""
    publisher: str | None = None
    """Whose they were, where that is known."""
    reason: str = ""
    """Why they are missing, for a log."""


@frozen(kw_only=True)
class BusWorkerLostMessage(BusSystemMessage, BusLocalMessage):
    """A connection over which ``local`` and the worker ``source`` talk is lost: none of ``jobs`` goes on.

    There may be another one already, with jobs of its own. It has no target: it is for the machinery of workers, not
    for what they handle.
    """

    local: str
    jobs: frozenset[str] = frozenset()


@frozen(kw_only=True)
class BusWorkerSeenMessage(BusSystemMessage, BusLocalMessage):
    """A worker that the recipient watches is ready."""

    data: WorkerReadyData


WIRE_MESSAGES: tuple[type[BusMessage], ...] = (
    BusDataMessage,
    BusSystemMessage,
    BusFrameMessage,
    BusTTSSpeakMessage,
    BusFlushProgressMessage,
    BusActivateWorkerMessage,
    BusDeactivateWorkerMessage,
    BusEndMessage,
    BusEndWorkerMessage,
    BusCancelMessage,
    BusCancelWorkerMessage,
    BusWorkerRegistryMessage,
    BusWorkerReadyMessage,
    BusWorkerErrorMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusJobResponseUrgentMessage,
    BusJobUpdateMessage,
    BusJobUpdateUrgentMessage,
    BusJobUpdateRequestMessage,
    BusJobCancelMessage,
    BusJobStreamStartMessage,
    BusJobStreamDataMessage,
    BusJobStreamEndMessage,
)
"""The family as it is on the wire: every message above that is not local."""

LOCAL_NAMES: tuple[str, ...] = ("BusLocalMessage", "BusAddWorkerMessage", "BusWorkerLocalErrorMessage")
"""Names that no peer may say, of whatever kind it is."""

LIFECYCLE_MESSAGES: tuple[type[BusMessage], ...] = (
    BusActivateWorkerMessage,
    BusDeactivateWorkerMessage,
    BusEndMessage,
    BusEndWorkerMessage,
    BusCancelMessage,
    BusCancelWorkerMessage,
    BusAddWorkerMessage,
)
"""What starts, stops and ends workers and runners. A proxy lets none of it in unless it is told to."""

JOB_MESSAGES: tuple[type[BusMessage], ...] = (
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusJobResponseUrgentMessage,
    BusJobUpdateMessage,
    BusJobUpdateUrgentMessage,
    BusJobUpdateRequestMessage,
    BusJobCancelMessage,
    BusJobStreamStartMessage,
    BusJobStreamDataMessage,
    BusJobStreamEndMessage,
)
"""What the two sides of a job say to each other."""
