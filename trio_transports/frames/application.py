"""What applications and their peers say to each other, for dialects that know it."""

from collections.abc import Mapping
from typing import Final, final

from attrs import Factory, field, frozen
from attrs.validators import and_, ge, in_, instance_of, le, optional

from .._documented import documented
from .common import JSONValue


@documented
@final
@frozen(kw_only=True)
class ResponseFrame:
    """The answer to the request ``id``: ``data``, or an ``error`` instead. Made by the ``RequestFrame`` itself."""

    id: str = field(validator=instance_of(str))
    """The ``id`` of the request that it answers."""
    name: str = field(default="", validator=instance_of(str))
    """The request's name, for peers that go by it."""
    data: JSONValue = None
    """The answer: anything that JSON can hold."""
    error: str | None = field(default=None, validator=optional(instance_of(str)))
    """Why there is no answer; None where there is one."""


@documented
@final
@frozen(kw_only=True)
class RequestFrame:
    """What a peer asks for, or tells, under a name of the application's own: send ``answer(...)`` or ``refuse(...)``.

    A peer that only tells something sends the same; an answer to that is ignored.
    """

    name: str = field(validator=instance_of(str))
    """What is asked, under a name of the application's own."""
    data: JSONValue = None
    """What it is asked with: anything that JSON can hold. It comes from the peer, so check it."""
    id: str = field(default="", validator=instance_of(str))
    """What the answer is known by; empty for what is only told."""

    def answer(self, data: JSONValue = None) -> ResponseFrame:
        """Make the frame that answers this request.

        ``data`` is what the answer says, as JSON; None says nothing.
        """
        return ResponseFrame(id=self.id, name=self.name, data=data)

    def refuse(self, error: str) -> ResponseFrame:
        """Make the frame that says why there is no answer."""
        return ResponseFrame(id=self.id, name=self.name, error=error)


@documented
@final
@frozen(kw_only=True)
class FunctionCallFrame:
    """A model calls a function: the peer may show that, or carry it out and send a ``FunctionResultFrame``."""

    name: str = field(validator=instance_of(str))
    """The function's name."""
    call_id: str = field(validator=instance_of(str))
    """What its result is known by."""
    arguments: Mapping[str, JSONValue] = Factory(dict)
    """What it is called with, by name."""


@documented
@final
@frozen(kw_only=True)
class FunctionResultFrame:
    """What a function gave, or that its call was ``cancelled``."""

    name: str = field(validator=instance_of(str))
    """The function's name."""
    call_id: str = field(validator=instance_of(str))
    """That of the call."""
    arguments: Mapping[str, JSONValue] = Factory(dict)
    """What it was called with."""
    result: JSONValue = None
    """What it gave: anything that JSON can hold. From a peer it is the peer's word, so check it."""
    cancelled: bool = field(default=False, validator=instance_of(bool))
    """Whether the call was given up; there is no result then."""


@documented
@final
@frozen(kw_only=True)
class ContextFrame:
    """Something for the model's context that is not said aloud. With ``runs`` the model answers it at once."""

    content: JSONValue
    """What the model is to know: text, or what your model takes."""
    role: str = field(default="user", validator=instance_of(str))
    """Whose words they are to the model: ``user``, ``system`` and the like."""
    runs: bool = field(default=False, validator=instance_of(bool))
    """Whether the model answers at once, or goes by it from its next answer on."""
    aloud: bool = field(default=True, validator=instance_of(bool))
    """Whether that answer is spoken, or only shown."""


@documented
@final
@frozen(kw_only=True)
class FileFrame:
    """A file for the model: its bytes or where it is (``url``), with the words that came with it."""

    format: str = field(validator=instance_of(str))
    """What it is, as a media type or a file ending: ``image/png``, ``pdf``."""
    data: bytes | None = field(default=None, validator=optional(instance_of(bytes)))
    """Its bytes; None where ``url`` says where they are."""
    url: str | None = field(default=None, validator=optional(instance_of(str)))
    """Where its bytes are. It comes from the peer: fetch it only if your server may fetch anything."""
    name: str | None = field(default=None, validator=optional(instance_of(str)))
    """Its file name, as the user has it; not to be used as a path."""
    text: str = field(default="", validator=instance_of(str))
    """The words that came with it."""
    runs: bool = field(default=True, validator=instance_of(bool))
    """Whether the model answers at once."""
    aloud: bool = field(default=True, validator=instance_of(bool))
    """Whether that answer is spoken, or only shown."""
    options: Mapping[str, JSONValue] = Factory(dict)
    """What else the peer said about it."""


@documented
@final
@frozen(kw_only=True)
class UIFrame:
    """What an application's page shows or does: ``kind`` is ``event``, ``snapshot``, ``command`` and the like."""

    kind: str = field(validator=instance_of(str))
    """What sort of news it is: ``event``, ``snapshot``, ``command`` and the like."""
    data: JSONValue = None
    """The news itself: anything that JSON can hold."""


@documented
@final
@frozen(kw_only=True)
class ErrorFrame:
    """Something went wrong that the peer should know; ``fatal`` when the conversation cannot go on."""

    error: str = field(validator=instance_of(str))
    """What went wrong, in words that the peer may see: nothing secret."""
    fatal: bool = field(default=False, validator=instance_of(bool))
    """Whether the conversation cannot go on."""


@documented
@final
@frozen(kw_only=True)
class MetricsFrame:
    """Figures, for instance of a turn: ``{"ttfb": [{"processor": "llm", "value": 0.41}]}``.

    A session itself tells peers whose dialect has the words, once a turn, the seconds from the user's last word to the
    first of the bot's that leaves: ``{"turn": [{"processor": "session", "value": 0.85}]}``.
    """

    metrics: Mapping[str, JSONValue]
    """The figures: lists of ``processor`` and ``value`` by what is measured; times are seconds."""


@documented
@final
@frozen(kw_only=True)
class AudioLevelFrame:
    """How loud a side is at the moment, from 0 to 1."""

    level: float = field(validator=and_(ge(0), le(1)))
    """0 is silence, 1 as loud as can be."""
    speaker: str = field(default="user", validator=in_(("user", "bot")))
    """Whose level: ``user`` or ``bot``."""


@documented
@final
@frozen(kw_only=True)
class UserMutedFrame:
    """Whether the user's audio is being ignored for now."""

    muted: bool = field(validator=instance_of(bool))
    """True from now on, False no longer."""


@documented
@final
@frozen(kw_only=True)
class BotThinkingFrame:
    """Whether an answer is being made."""

    thinking: bool = field(validator=instance_of(bool))
    """True from now on, False when the answer begins or is given up."""


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
