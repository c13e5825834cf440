"""What one process has counted on its bus."""

from typing import final

from attrs import frozen

from ..._documented import documented


@documented
@final
@frozen(kw_only=True)
class RedisBusStatistics:
    """What one process has counted so far on its bus."""

    published: int
    """Messages that were published."""
    stored: int
    """Messages that were stored as well, since they are durable."""
    refused: int
    """Messages that the server would not take."""
    dropped: int
    """Messages that did not fit while there was no server, or it was slow."""
    received: int
    """Messages of others."""
    malformed: int
    """Messages of others that could not be read."""
    unknown: int
    """Messages of others that are well formed, of a kind that is not known here."""
    missed: int
    """Messages of others that are known to be missing."""
    duplicates: int
    """Messages of others that came twice; the second was dropped."""
    connections_lost: int
    """How often the server was lost."""
    waiting: int
    """Messages that wait to be published."""
