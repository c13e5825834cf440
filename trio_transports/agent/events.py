"""What an agent tells besides audio, as values: the same few for every protocol."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, final

from attrs import field, frozen
from attrs.validators import in_, instance_of

from .._documented import documented
from ..frames import JSONValue
from ..serializers.protocol import Message

Speaker: TypeAlias = Literal["agent", "caller"]


@documented
@final
@frozen
class Transcript:
    """Text of what was said. One that is ``final`` replaces the pieces of the same speaker that came before it."""

    text: str = field(validator=instance_of(str))
    """The words."""
    speaker: Speaker = field(default="agent", validator=in_(("agent", "caller")))
    """Who said it: ``agent`` or ``caller``."""
    final: bool = True
    """Whether it replaces the pieces of the same speaker before it, or is one of them."""
    utterance: str | None = field(default=None, kw_only=True)
    """Of which of the agent's utterances it is the text, where the protocol tells."""


@documented
@final
@frozen
class TurnEnded:
    """The agent says that its turn is over; not ``completed``, when it was cut short."""

    completed: bool = True
    """False when the turn was cut short."""
    reason: str | None = None
    """Why it was, in the agent's words; None if it says nothing."""


@documented
@final
@frozen
class AgentHungUp:
    """The agent says that the conversation is over. The connection's own end may follow or not."""

    reason: str | None = None
    """Why, in the agent's words; None if it says nothing."""


@final
@frozen
class CallerSpeechStarted:
    """The agent hears the caller speak."""


@final
@frozen
class CallerSpeechStopped:
    """The agent hears that the caller has stopped."""


@final
@frozen
class PlaybackCleared:
    """The agent takes back the audio that was not played yet."""


@documented
@final
@frozen
class AgentFault:
    """The agent reports an error of its own, on a connection that lives on."""

    message: str
    """What went wrong, in the agent's words."""
    code: str | None = None
    """Its own code for that; None if it has none."""


@documented
@final
@frozen
class AgentMessage:
    """A message of the application's own that a protocol hands on: parsed where it knows how, else as it came."""

    message: "JSONValue | bytes"
    """Parsed JSON where the protocol knows how, else the text or the bytes."""


@documented
@final
@frozen
class Reply:
    """What the protocol itself has to answer: sent by the adapter, now or when the audio so far has been played.

    A callable makes the messages when they are sent, for dialects that number them.
    """

    messages: Message | Sequence[Message] | Callable[[], Message | Sequence[Message]]
    """What to send: a message, several, or a function that makes them when they are sent."""
    when_played: bool = False
    """Wait until the audio that came so far has been played."""


AgentEvent: TypeAlias = (
    Transcript
    | TurnEnded
    | AgentHungUp
    | CallerSpeechStarted
    | CallerSpeechStopped
    | PlaybackCleared
    | AgentFault
    | AgentMessage
)
"""What reaches an adapter's user; ``Reply`` never does."""
