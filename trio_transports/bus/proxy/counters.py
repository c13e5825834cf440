"""What a proxy counts."""

from typing import final

from attrs import asdict, define, frozen

from ..._documented import documented


@documented
@final
@frozen(kw_only=True)
class ProxyStatistics:
    """What a proxy has counted so far, over all its connections."""

    connections: int = 0
    """How many connections there were."""
    sent: int = 0
    """Messages that were sent."""
    received: int = 0
    """Messages that came."""
    dropped: int = 0
    """Messages for the peer that did not fit into the outbox, or came too fast for the proxy."""
    malformed: int = 0
    """Messages from the peer that could not be read."""
    unknown: int = 0
    """Messages from the peer that are well formed, of a kind that is not known here."""
    refused: int = 0
    """Messages from the peer that the routing rules do not let in."""
    unsendable: int = 0
    """Messages for the peer that the serializer could not write."""
    waiting: int = 0
    """Messages that wait to be sent."""


@final
@define(eq=False)
class ProxyCounters:
    connections: int = 0
    sent: int = 0
    received: int = 0
    dropped: int = 0
    malformed: int = 0
    unknown: int = 0
    refused: int = 0
    unsendable: int = 0

    def snapshot(self, waiting: int, dropped: int) -> ProxyStatistics:
        counted = asdict(self)
        counted["dropped"] += dropped
        return ProxyStatistics(**counted, waiting=waiting)
