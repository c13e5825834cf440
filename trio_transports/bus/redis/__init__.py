"""The bus over Redis."""

from .bus import RedisBus as RedisBus
from .events import RedisEvent as RedisEvent
from .events import StoringPaused as StoringPaused
from .events import StoringResumed as StoringResumed
from .statistics import RedisBusStatistics as RedisBusStatistics

__all__ = [
    "RedisBus",
    "RedisBusStatistics",
    "RedisEvent",
    "StoringPaused",
    "StoringResumed",
]
