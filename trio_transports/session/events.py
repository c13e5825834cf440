"""What happens to a transport, as values: the hooks of the systems this library replaces, on a channel."""

from typing import TYPE_CHECKING, TypeAlias, final

from attrs import frozen

from ..errors import Initiator
from .broadcast import Broadcast
from .broadcast import EventsLost as EventsLost
from .sizes import event_size

if TYPE_CHECKING:
    from .session import Session


@final
@frozen
class ServerReady:
    """The server listens; ``addresses`` are (host, port) pairs with the ports that were really bound."""

    addresses: tuple[tuple[str, int], ...]

    @property
    def port(self) -> int:
        return self.addresses[0][1]


@final
@frozen(eq=False)
class Connected:
    session: "Session"


@final
@frozen(eq=False)
class Disconnected:
    """Told once for each session that was ``Connected``, after its wire is closed."""

    session: "Session"
    code: int
    reason: str
    initiator: Initiator


@final
@frozen(eq=False)
class SessionTimeout:
    session: "Session"


@final
@frozen(eq=False)
class IdleTimeout:
    session: "Session"


@final
@frozen(eq=False)
class Reconnecting:
    """The connection was lost and will be tried again after ``delay`` seconds."""

    attempt: int
    delay: float
    cause: Exception


Event: TypeAlias = ServerReady | Connected | Disconnected | SessionTimeout | IdleTimeout | Reconnecting | EventsLost


def event_source(max_bytes: int) -> Broadcast[Event]:
    """A transport's source of events; what waits unread by a subscriber is bounded in bytes too."""
    return Broadcast(max_bytes, event_size)
