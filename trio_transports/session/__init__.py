"""One session serves every transport: its three tasks, its channels, its events."""

from typing import TYPE_CHECKING

from .._lazy import lazily

if TYPE_CHECKING:
    from .broadcast import Subscription as Subscription
    from .events import Connected as Connected
    from .events import Disconnected as Disconnected
    from .events import Event as Event
    from .events import EventsLost as EventsLost
    from .events import IdleTimeout as IdleTimeout
    from .events import PicturesNotCarried as PicturesNotCarried
    from .events import Reconnecting as Reconnecting
    from .events import ServerReady as ServerReady
    from .events import SessionTimeout as SessionTimeout
    from .events import TurnTaken as TurnTaken
    from .inbox import Inbox as Inbox
    from .output import Output as Output
    from .session import Session as Session
    from .statistics import Statistics as Statistics

__all__ = [
    "Connected",
    "Disconnected",
    "Event",
    "EventsLost",
    "IdleTimeout",
    "Inbox",
    "Output",
    "PicturesNotCarried",
    "Reconnecting",
    "ServerReady",
    "Session",
    "SessionTimeout",
    "Statistics",
    "Subscription",
    "TurnTaken",
]

if not TYPE_CHECKING:  # to a type checker an unknown name is unknown
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".broadcast": "Subscription",
            ".events": (
                "Connected Disconnected Event EventsLost IdleTimeout PicturesNotCarried Reconnecting ServerReady "
                "SessionTimeout TurnTaken"
            ),
            ".inbox": "Inbox",
            ".output": "Output",
            ".session": "Session",
            ".statistics": "Statistics",
        },
    )
