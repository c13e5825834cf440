"""What a bot has a phone do, whatever its provider calls it."""

from typing import TypeAlias, final

from attrs import frozen

from ..._documented import documented
from ...frames import Frame
from ...serializers.protocol import Message


@documented
@final
@frozen
class PlayOrder:
    """Audio to be played."""

    pcm: bytes
    """It, as 16-bit PCM."""
    sample_rate: int
    """Its rate, in Hz."""
    size_bytes: int
    """What it took on the wire, before base64."""


@documented
@final
@frozen
class MarkOrder:
    """Tell when all before this has been played."""

    name: str
    """The bot's name for it."""


@final
@frozen
class ClearOrder:
    """Drop what has not been played."""


@documented
@final
@frozen
class TextOrder:
    """Words for the provider to speak."""

    text: str
    """They, as they came: a part of a sentence it may be."""
    is_last: bool
    """Whether they are the last of a turn."""


@documented
@final
@frozen
class EndOrder:
    """Hang up, from a bot whose line has a message for that."""

    reason: str | None = None
    """What is handed on with the call, where the line has words for that."""


@documented
@final
@frozen
class OtherOrder:
    """Anything else: a message of the application's own."""

    message: Message
    """It, as it came."""
    frame: Frame | None = None
    """What it means, where the dialect knows it."""


Order: TypeAlias = PlayOrder | MarkOrder | ClearOrder | TextOrder | EndOrder | OtherOrder
"""One of the things that a bot has a phone do."""
