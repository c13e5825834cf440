"""What Pipecat's user-interface workers say on the bus: its names and fields, its contents without a schema."""

from attrs import field, frozen
from attrs.converters import optional

from .messages import BusDataMessage, BusMessage, Content


@frozen(kw_only=True)
class BusUIDataMessage(BusDataMessage):
    """Any of the messages below."""


@frozen(kw_only=True)
class BusUIEventMessage(BusUIDataMessage):
    """The client's event, for a worker."""

    event_name: str = ""
    payload: Content = None


@frozen(kw_only=True)
class BusUICommandMessage(BusUIDataMessage):
    """A worker's command, for the client."""

    command_name: str = ""
    payload: Content = None


@frozen(kw_only=True)
class BusUIJobGroupStartedMessage(BusUIDataMessage):
    """A job group that the user sees has begun. ``at`` is Unix time in milliseconds, here and below."""

    job_id: str = ""
    workers: tuple[str, ...] | None = field(default=None, converter=optional(tuple[str, ...]))
    label: str | None = None
    cancellable: bool = True
    at: int = 0


@frozen(kw_only=True)
class BusUIJobUpdateMessage(BusUIDataMessage):
    job_id: str = ""
    worker_name: str = ""
    data: Content = None
    at: int = 0


@frozen(kw_only=True)
class BusUIJobCompletedMessage(BusUIDataMessage):
    job_id: str = ""
    worker_name: str = ""
    status: str = ""
    response: Content = None
    at: int = 0


@frozen(kw_only=True)
class BusUIJobGroupCompletedMessage(BusUIDataMessage):
    job_id: str = ""
    at: int = 0


UI_MESSAGES: tuple[type[BusMessage], ...] = (
    BusUIDataMessage,
    BusUIEventMessage,
    BusUICommandMessage,
    BusUIJobGroupStartedMessage,
    BusUIJobUpdateMessage,
    BusUIJobCompletedMessage,
    BusUIJobGroupCompletedMessage,
)
