"""What a bot has a phone do, whatever its provider calls it."""

from typing import TypeAlias, final

from attrs import frozen

from ...frames import Frame
from ...serializers.protocol import Message


@final
@frozen
class PlayOrder:
    """Audio to be played; ``size_bytes`` is what it took on the wire, before base64."""

    pcm: bytes
    sample_rate: int
    size_bytes: int


@final
@frozen
class MarkOrder:
    """Tell when all before this has been played."""

    name: str


@final
@frozen
class ClearOrder:
    """Drop what has not been played."""


@final
@frozen
class TextOrder:
    """Words for the provider to speak; ``is_last``: they are the last of a turn."""

    text: str
    is_last: bool


@final
@frozen
class EndOrder:
    """Hang up, from a bot whose line has a message for that."""

    reason: str | None = None


@final
@frozen
class OtherOrder:
    """Anything else: a message of the application's own. ``frame`` where the dialect knows it."""

    message: Message
    frame: Frame | None = None


Order: TypeAlias = PlayOrder | MarkOrder | ClearOrder | TextOrder | EndOrder | OtherOrder
