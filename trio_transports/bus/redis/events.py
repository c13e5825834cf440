"""What ``RedisBus.events()`` tells."""

from typing import TypeAlias, final

from attrs import frozen

from ..._documented import documented
from ...session.broadcast import EventsLost


@documented
@final
@frozen
class StoringPaused:
    """Redis takes no stored messages for now (no memory, no disk, too few replicas); ``send`` waits, and tries on."""

    reason: str
    """Why, in the server's words."""


@final
@frozen
class StoringResumed:
    """It takes them again."""


RedisEvent: TypeAlias = StoringPaused | StoringResumed | EventsLost
"""Everything that the bus' ``events()`` gives."""
