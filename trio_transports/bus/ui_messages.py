"""What Pipecat's user-interface workers say on the bus: its names and fields, its contents without a schema."""

from attrs import field, frozen
from attrs.converters import optional

from .._documented import documented
from .messages import BusDataMessage, BusMessage, Content


@documented
@frozen(kw_only=True)
class BusUIDataMessage(BusDataMessage):
    """Any of the messages below."""


@documented
@frozen(kw_only=True)
class BusUIEventMessage(BusUIDataMessage):
    """The client's event, for a worker."""

    event_name: str = ""
    """What happened, under the client's own name for it."""
    payload: Content = None
    """What the client says about it; it comes from a user, so check it."""


@documented
@frozen(kw_only=True)
class BusUICommandMessage(BusUIDataMessage):
    """A worker's command, for the client."""

    command_name: str = ""
    """What the client is to do."""
    payload: Content = None
    """What it is to do it with."""


@documented
@frozen(kw_only=True)
class BusUIJobGroupStartedMessage(BusUIDataMessage):
    """A job group that the user sees has begun. ``at`` is Unix time in milliseconds, here and below."""

    job_id: str = ""
    """Which job it is about: the id that its request has."""
    workers: tuple[str, ...] | None = field(default=None, converter=optional(tuple[str, ...]))
    """The workers that were asked; None where it does not tell."""
    label: str | None = None
    """What the user is shown."""
    cancellable: bool = True
    """Whether the user may give it up."""
    at: int = 0
    """When, as Unix time in milliseconds."""


@documented
@frozen(kw_only=True)
class BusUIJobUpdateMessage(BusUIDataMessage):
    """How far one worker is."""

    job_id: str = ""
    """Which job it is about: the id that its request has."""
    worker_name: str = ""
    """Which worker."""
    data: Content = None
    """What it says."""
    at: int = 0
    """When, as Unix time in milliseconds."""


@documented
@frozen(kw_only=True)
class BusUIJobCompletedMessage(BusUIDataMessage):
    """One worker is done."""

    job_id: str = ""
    """Which job it is about: the id that its request has."""
    worker_name: str = ""
    """Which worker."""
    status: str = ""
    """How it came out, as ``JobStatus`` says."""
    response: Content = None
    """What came of it."""
    at: int = 0
    """When, as Unix time in milliseconds."""


@documented
@frozen(kw_only=True)
class BusUIJobGroupCompletedMessage(BusUIDataMessage):
    """All workers are done."""

    job_id: str = ""
    """Which job it is about: the id that its request has."""
    at: int = 0
    """When, as Unix time in milliseconds."""


UI_MESSAGES: tuple[type[BusMessage], ...] = (
    BusUIDataMessage,
    BusUIEventMessage,
    BusUICommandMessage,
    BusUIJobGroupStartedMessage,
    BusUIJobUpdateMessage,
    BusUIJobCompletedMessage,
    BusUIJobGroupCompletedMessage,
)
