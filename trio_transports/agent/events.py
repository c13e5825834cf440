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
    speaker: Speaker = field(default="agent", validator=in_(("agent", "caller")))
    final: bool = True
    utterance: str | None = field(default=None, kw_only=True)
    """Of which of the agent's utterances it is the text, where the protocol tells."""


@final
@frozen
class TurnEnded:
    """The agent says that its turn is over; not ``completed``, when it was cut short."""

    completed: bool = True
    reason: str | None = None


@final
@frozen
class AgentHungUp:
    """The agent says that the conversation is over. The connection's own end may follow or not."""

    reason: str | None = None


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


@final
@frozen
class AgentFault:
    """The agent reports an error of its own, on a connection that lives on."""

    message: str
    code: str | None = None


@final
@frozen
class AgentMessage:
    """A message of the application's own that a protocol hands on: parsed where it knows how, else as it came."""

    message: "JSONValue | bytes"


@final
@frozen
class Reply:
    """What the protocol itself has to answer: sent by the adapter, now or when the audio so far has been played.

    A callable makes the messages when they are sent, for dialects that number them.
    """

    messages: Message | Sequence[Message] | Callable[[], Message | Sequence[Message]]
    when_played: bool = False


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
