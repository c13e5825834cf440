"""The bus over Redis."""

from .bus import RedisBus as RedisBus
from .bus import RedisBusStatistics as RedisBusStatistics
