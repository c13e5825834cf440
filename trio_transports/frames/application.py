"""What applications and their peers say to each other, for dialects that know it."""

from collections.abc import Mapping
from typing import Final, final

from attrs import Factory, field, frozen
from attrs.validators import and_, ge, in_, instance_of, le, optional

from .common import JSONValue


@final
@frozen(kw_only=True)
class ResponseFrame:
    """The answer to the request ``id``: ``data``, or an ``error`` instead. Made by the ``RequestFrame`` itself."""

    id: str = field(validator=instance_of(str))
    name: str = field(default="", validator=instance_of(str))
    data: JSONValue = None
    error: str | None = field(default=None, validator=optional(instance_of(str)))


@final
@frozen(kw_only=True)
class RequestFrame:
    """What a peer asks for, or tells, under a name of the application's own: send ``answer(...)`` or ``refuse(...)``.

    A peer that only tells something sends the same; an answer to that is ignored.
    """

    name: str = field(validator=instance_of(str))
    data: JSONValue = None
    id: str = field(default="", validator=instance_of(str))

    def answer(self, data: JSONValue = None) -> ResponseFrame:
        """Make the frame that answers this request."""
        return ResponseFrame(id=self.id, name=self.name, data=data)

    def refuse(self, error: str) -> ResponseFrame:
        """Make the frame that says why there is no answer."""
        return ResponseFrame(id=self.id, name=self.name, error=error)


@final
@frozen(kw_only=True)
class FunctionCallFrame:
    """A model calls a function: the peer may show that, or carry it out and send a ``FunctionResultFrame``."""

    name: str = field(validator=instance_of(str))
    call_id: str = field(validator=instance_of(str))
    arguments: Mapping[str, JSONValue] = Factory(dict)


@final
@frozen(kw_only=True)
class FunctionResultFrame:
    """What a function gave, or that its call was ``cancelled``."""

    name: str = field(validator=instance_of(str))
    call_id: str = field(validator=instance_of(str))
    arguments: Mapping[str, JSONValue] = Factory(dict)
    result: JSONValue = None
    cancelled: bool = field(default=False, validator=instance_of(bool))


@final
@frozen(kw_only=True)
class ContextFrame:
    """Something for the model's context that is not said aloud. With ``runs`` the model answers it at once."""

    content: JSONValue
    role: str = field(default="user", validator=instance_of(str))
    runs: bool = field(default=False, validator=instance_of(bool))
    aloud: bool = field(default=True, validator=instance_of(bool))


@final
@frozen(kw_only=True)
class FileFrame:
    """A file for the model: its bytes or where it is (``url``), with the words that came with it."""

    format: str = field(validator=instance_of(str))
    data: bytes | None = field(default=None, validator=optional(instance_of(bytes)))
    url: str | None = field(default=None, validator=optional(instance_of(str)))
    name: str | None = field(default=None, validator=optional(instance_of(str)))
    text: str = field(default="", validator=instance_of(str))
    runs: bool = field(default=True, validator=instance_of(bool))
    aloud: bool = field(default=True, validator=instance_of(bool))
    options: Mapping[str, JSONValue] = Factory(dict)


@final
@frozen(kw_only=True)
class UIFrame:
    """What an application's page shows or does: ``kind`` is ``event``, ``snapshot``, ``command`` and the like."""

    kind: str = field(validator=instance_of(str))
    data: JSONValue = None


@final
@frozen(kw_only=True)
class ErrorFrame:
    """Something went wrong that the peer should know; ``fatal`` when the conversation cannot go on."""

    error: str = field(validator=instance_of(str))
    fatal: bool = field(default=False, validator=instance_of(bool))


@final
@frozen(kw_only=True)
class MetricsFrame:
    """Figures, for instance of a turn: ``{"ttfb": [{"processor": "llm", "value": 0.41}]}``.

    A session itself tells peers whose dialect has the words, once a turn, the seconds from the user's last word to the
    first of the bot's that leaves: ``{"turn": [{"processor": "session", "value": 0.85}]}``.
    """

    metrics: Mapping[str, JSONValue]


@final
@frozen(kw_only=True)
class AudioLevelFrame:
    """How loud a side is at the moment, from 0 to 1."""

    level: float = field(validator=and_(ge(0), le(1)))
    speaker: str = field(default="user", validator=in_(("user", "bot")))


@final
@frozen(kw_only=True)
class UserMutedFrame:
    """Whether the user's audio is being ignored for now."""

    muted: bool = field(validator=instance_of(bool))


@final
@frozen(kw_only=True)
class BotThinkingFrame:
    """Whether an answer is being made."""

    thinking: bool = field(validator=instance_of(bool))


OVERTAKING: Final = (
    ResponseFrame,
    FunctionCallFrame,
    FunctionResultFrame,
    UIFrame,
    ErrorFrame,
    MetricsFrame,
    AudioLevelFrame,
    UserMutedFrame,
    BotThinkingFrame,
)
"""Frames that are news of this moment: queued behind audio they would come too late, so they never are."""
