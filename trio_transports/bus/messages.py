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

from attrs import field, frozen
from attrs.validators import in_, instance_of, optional

from ..frames import Frame

FrameDirection: TypeAlias = Literal["DOWNSTREAM", "UPSTREAM"]
FrameRole: TypeAlias = Literal["input", "output"]
JobStatus: TypeAlias = Literal["completed", "cancelled", "failed", "error"]

Content: TypeAlias = Annotated[object, "any value that a payload may hold"]
Payload: TypeAlias = Mapping[str, object]
"""JSON values, bytes, and instances of the classes registered with the serializer."""


def _entries(value: "Iterable[WorkerRegistryEntry]") -> "tuple[WorkerRegistryEntry, ...]":
    return tuple(value)


@frozen(kw_only=True)
class BusMessage:
    source: str = field(validator=instance_of(str))
    target: str | None = field(default=None, validator=optional(instance_of(str)))
    id: int = 0
    name: str = ""


class BusLocalMessage:
    """Marks a message that never leaves the process."""

    __slots__ = ()


@frozen(kw_only=True)
class BusDataMessage(BusMessage):
    """Delivered in order."""


@frozen(kw_only=True)
class BusSystemMessage(BusMessage):
    """Delivered ahead of the data that waits."""


@frozen(kw_only=True)
class CustomFrame:
    """Subclass it for frames of your own, and ``register`` each with the serializer: they travel on the bus only."""


BusFrame: TypeAlias = Frame | CustomFrame


@frozen(kw_only=True)
class BusOpaqueMessage(BusDataMessage):
    """A message of a kind that is not known here, as it came, for a serializer with ``pass_unknown``.

    It is passed on unchanged, byte for byte. A proxy lets it through by ``target``, as it does any other, and without
    one where ``forward_messages`` names this class.
    """

    type_name: str
    bridge: str | None = None
    data: bytes = field(repr=False)


@frozen(kw_only=True)
class BusFrameMessage(BusDataMessage):
    """One of our frames, or one of the application's own.

    ``direction`` is Pipecat's: which way the frame travels in the recipient's pipeline. ``role`` says whether the frame
    came in from a caller or goes out to one, which chooses between Pipecat's two names for audio, messages and digits.
    """

    frame: BusFrame
    direction: FrameDirection = field(default="DOWNSTREAM", validator=in_(("DOWNSTREAM", "UPSTREAM")))
    bridge: str | None = None
    role: FrameRole = field(default="output", validator=in_(("input", "output")))


@frozen(kw_only=True)
class BusTTSSpeakMessage(BusDataMessage):
    """Asks a worker to say ``text``."""

    text: str
    append_to_context: bool = True


@frozen(kw_only=True)
class BusFlushProgressMessage(BusDataMessage):
    """A flush that another worker waits for is still making progress."""

    flush_id: int


@frozen(kw_only=True)
class BusActivateWorkerMessage(BusDataMessage):
    args: Payload | None = None


@frozen(kw_only=True)
class BusDeactivateWorkerMessage(BusDataMessage):
    """Tells a worker to stop taking messages until it is activated again."""


@frozen(kw_only=True)
class BusEndMessage(BusDataMessage):
    """Asks the runner to end all its workers in good order."""

    reason: str | None = None


@frozen(kw_only=True)
class BusEndWorkerMessage(BusDataMessage):
    """Tells a worker to end once it has handled what was sent before."""

    reason: str | None = None


@frozen(kw_only=True)
class BusCancelMessage(BusSystemMessage):
    """Asks the runner to cancel all its workers."""

    reason: str | None = None


@frozen(kw_only=True)
class BusCancelWorkerMessage(BusSystemMessage):
    """Cancels a worker where it stands."""

    reason: str | None = None


@frozen(kw_only=True)
class WorkerRegistryEntry:
    """One worker in a runner's registry. ``started_at`` is Unix time in seconds."""

    name: str
    parent: str | None = None
    active: bool = False
    bridged: bool = False
    started_at: float | None = None


@frozen(kw_only=True)
class WorkerReadyData:
    """A worker that is ready to take messages, and the runner it runs on."""

    worker_name: str
    runner: str
    entry: WorkerRegistryEntry


class AnyWorker(Protocol):
    """A worker, as far as messages know: these come before workers."""

    name: str
    parent: str | None


@frozen(kw_only=True)
class BusAddWorkerMessage(BusSystemMessage, BusLocalMessage):
    """Asks the local runner to run ``worker``."""

    worker: AnyWorker


@frozen(kw_only=True)
class BusWorkerRegistryMessage(BusSystemMessage):
    """The workers of one runner, for the others to know.

    ``alive_for_s``: it says so again within that time, or its workers are gone. None: it says so once.
    """

    runner: str
    workers: tuple[WorkerRegistryEntry, ...] = field(converter=_entries)
    alive_for_s: float | None = None


@frozen(kw_only=True)
class BusWorkerReadyMessage(BusDataMessage):
    """Worker ``source`` takes messages from now on."""

    runner: str
    parent: str | None = None
    active: bool = False
    bridged: bool = False
    started_at: float | None = None


@frozen(kw_only=True)
class BusWorkerErrorMessage(BusSystemMessage):
    """Worker ``source`` failed and has ended."""

    error: str


@frozen(kw_only=True)
class BusWorkerLocalErrorMessage(BusSystemMessage, BusLocalMessage):
    """A child worker failed; told to its parent only."""

    error: str


@frozen(kw_only=True)
class BusJobRequestMessage(BusDataMessage):
    job_id: str
    job_name: str | None = None
    payload: Payload | None = None


@frozen(kw_only=True)
class BusJobResponseMessage(BusDataMessage):
    job_id: str
    status: JobStatus
    response: Payload | None = None


@frozen(kw_only=True)
class BusJobResponseUrgentMessage(BusSystemMessage):
    job_id: str
    status: JobStatus
    response: Payload | None = None


@frozen(kw_only=True)
class BusJobUpdateMessage(BusDataMessage):
    job_id: str
    update: Payload | None = None


@frozen(kw_only=True)
class BusJobUpdateUrgentMessage(BusSystemMessage):
    job_id: str
    update: Payload | None = None


@frozen(kw_only=True)
class BusJobUpdateRequestMessage(BusDataMessage):
    job_id: str


@frozen(kw_only=True)
class BusJobCancelMessage(BusSystemMessage):
    job_id: str
    reason: str | None = None


@frozen(kw_only=True)
class BusJobStreamStartMessage(BusDataMessage):
    job_id: str
    data: Payload | None = None


@frozen(kw_only=True)
class BusJobStreamDataMessage(BusDataMessage):
    job_id: str
    data: Payload | None = None


@frozen(kw_only=True)
class BusJobStreamEndMessage(BusDataMessage):
    job_id: str
    data: Payload | None = None


@frozen(kw_only=True)
class BusGapMessage(BusDataMessage, BusLocalMessage):
    """Messages are missing at this place. It is made on this side, and reaches every subscriber that lost something.

    ``missed`` is how many, or None when nobody can know; ``publisher`` is whose, where that is known.
    """

    missed: int | None
    publisher: str | None = None
    reason: str = ""


@frozen(kw_only=True)
class BusWorkerLostMessage(BusSystemMessage, BusLocalMessage):
    """The connection over which ``local`` and the worker ``source`` talk is lost: no job between them goes on.

    It has no target: it is for the machinery of workers, not for what they handle.
    """

    local: str


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
