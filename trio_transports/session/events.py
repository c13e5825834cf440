"""What happens to a transport, as values: the hooks of the systems this library replaces, on a channel."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias, final

from attrs import frozen

from .._documented import documented
from ..errors import Initiator
from .broadcast import Broadcast
from .broadcast import EventsLost as EventsLost
from .sizes import event_size

if TYPE_CHECKING:
    from .session import Session


@documented
@final
@frozen
class ServerReady:
    """The server listens; ``addresses`` are (host, port) pairs with the ports that were really bound."""

    addresses: tuple[tuple[str, int], ...]
    """Host and port of each address that is listened on, with the ports that were really bound."""

    @property
    def port(self) -> int:
        """The first port: the only one, unless the host has several addresses."""
        return self.addresses[0][1]


@documented
@final
@frozen(eq=False)
class Connected:
    """A session began. Told once for each, before its handler runs."""

    session: "Session"
    """The session; its ``peer`` says who."""


@documented
@final
@frozen(eq=False)
class Disconnected:
    """Told once for each session that was ``Connected``, after its wire is closed."""

    session: "Session"
    """The session; its ``statistics()`` and ``peer`` stay valid."""
    code: int
    """The WebSocket close code: 1000 a normal end, 1001 going away, 1006 lost without a goodbye."""
    reason: str
    """The reason that came with the code, or that this side gave."""
    initiator: Initiator
    """Who ended it: ``local``, ``remote``, or ``error`` where the connection broke."""


@documented
@final
@frozen(eq=False)
class SessionTimeout:
    """A call has lasted for ``session_timeout``.

    Told once; the call goes on, unless ``session_timeout_action`` ends it.
    """

    session: "Session"
    """The session that has lasted so long."""


@documented
@final
@frozen(eq=False)
class IdleTimeout:
    """Nothing came from the peer for ``idle_timeout``, and the session is being closed with 1001."""

    session: "Session"
    """The session that heard nothing."""


@documented
@final
@frozen(eq=False)
class Reconnecting:
    """The connection was lost and will be tried again after ``delay`` seconds."""

    attempt: int
    """Which attempt it is since the last connection that held, from 1."""
    delay: float
    """Seconds until it is made."""
    cause: Exception
    """Why the connection was lost, or why the attempt before failed."""
    session: "Session | None" = None
    """The session that goes on over it; None where what reconnects has none, such as a bus proxy."""


@documented
@final
@frozen(eq=False)
class TurnTaken:
    """The bot has begun to answer."""

    session: "Session"
    """The session it answers in."""
    latency_s: float
    """Seconds from the user's last word to the first audio that left for it. It is as exact as the analyzer knows where
    the word ended: ``EnergyVADAnalyzer`` to a millisecond or two."""


@documented
@final
@frozen(eq=False)
class PicturesNotCarried:
    """A picture was sent to a peer whose dialect has no message for one: it was not shown, and none will be.

    Told once for each session, with the first of them; ``Statistics.unsupported_frames`` counts them all.
    """

    session: "Session"
    """The session whose peer sees nothing."""
    dialect: str
    """The name of the serializer: the caller's own, where callers are told apart."""


Event: TypeAlias = (
    ServerReady
    | Connected
    | Disconnected
    | SessionTimeout
    | IdleTimeout
    | Reconnecting
    | PicturesNotCarried
    | TurnTaken
    | EventsLost
)
"""Everything that a transport's ``events()`` gives."""


def missed_ends(sessions: Iterable["Session"]) -> list[Disconnected]:
    """The ends of those that are over: a reader who finds an ``EventsLost`` may never be told of them."""
    ends = [(session, session._ending) for session in sessions]
    return [
        Disconnected(session, ending.code, ending.reason, ending.initiator)
        for session, ending in ends
        if ending is not None
    ]


def event_source(max_bytes: int) -> Broadcast[Event]:
    """A transport's source of events; what waits unread by a subscriber is bounded in bytes too."""
    return Broadcast(max_bytes, event_size)
