"""What happens to a proxy, as values on its ``events()`` channel: it has a peer where a transport has a session."""

from typing import TypeAlias, final

from attrs import frozen

from ..._documented import documented
from ...errors import Initiator
from ...session.broadcast import Broadcast, EventsLost
from ...session.events import Reconnecting
from ...session.sizes import MAX_EVENT_BYTES, event_size
from ...wire.peer import Peer


@documented
@final
@frozen
class ProxyConnected:
    """The proxy is joined to ``peer``; ``peer.subprotocol`` says whether audio goes in binary."""

    peer: Peer
    """Who is at the other end."""


@documented
@final
@frozen
class ProxyDisconnected:
    """Told once for each ``ProxyConnected``, after the wire is closed."""

    peer: Peer
    """Who was at the other end."""
    code: int
    """The WebSocket close code."""
    reason: str
    """The reason that came with the code."""
    initiator: Initiator
    """Who ended it: ``local``, ``remote``, or ``error`` where the connection broke."""


ProxyEvent: TypeAlias = ProxyConnected | ProxyDisconnected | Reconnecting | EventsLost
"""Everything that a proxy's ``events()`` gives."""


def event_source() -> Broadcast[ProxyEvent]:
    """Make a proxy's source of events."""
    return Broadcast(MAX_EVENT_BYTES, event_size)
