"""The bus over Redis."""

from .bus import RedisBus as RedisBus
from .bus import RedisBusStatistics as RedisBusStatistics
from .bus import RedisEvent as RedisEvent
from .bus import StoringPaused as StoringPaused
from .bus import StoringResumed as StoringResumed

__all__ = [
    "RedisBus",
    "RedisBusStatistics",
    "RedisEvent",
    "StoringPaused",
    "StoringResumed",
]
