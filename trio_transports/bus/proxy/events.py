"""What happens to a proxy, as values on its ``events()`` channel: it has a peer where a transport has a session."""

from typing import TypeAlias, final

from attrs import frozen

from ...errors import Initiator
from ...session.broadcast import EventsLost
from ...session.events import Reconnecting
from ...wire.peer import Peer


@final
@frozen
class Connected:
    """The proxy is joined to ``peer``; ``peer.subprotocol`` says whether audio goes in binary."""

    peer: Peer


@final
@frozen
class Disconnected:
    """Told once for each ``Connected``, after the wire is closed."""

    peer: Peer
    code: int
    reason: str
    initiator: Initiator


ProxyEvent: TypeAlias = Connected | Disconnected | Reconnecting | EventsLost
