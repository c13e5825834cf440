"""Who speaks, what stops them, and what was heard by then.

The four frames that tell who speaks are told by a session itself (``notice`` is True) or by its peer. What the session
noticed is no content: passed on to its output, it does not travel back to the peer.
"""

from typing import final

from attrs import field, frozen
from attrs.validators import ge, optional

from .._documented import documented
from .common import LOCAL
from .content import TextFrame


@documented
@final
@frozen(kw_only=True)
class Played:
    """How much of one utterance was heard: never more than was written to the wire."""

    utterance: str
    """Which one: the name that its frames gave, or ``speech-1`` and so on."""
    seconds: float
    """How much of it was heard, in seconds."""
    sent_seconds: float
    """How long it is, as far as it was sent."""
    texts: "tuple[TextFrame, ...]" = ()
    """Those of its text frames at whose place among the audio the peer's player has been."""
    is_complete: bool = False
    """Nothing more of it was to come, and all was played."""
    is_over: bool = False
    """This will not change any more: it is complete, or was interrupted."""


@documented
@final
@frozen(kw_only=True)
class InterruptionFrame:
    """What is playing stops now (barge-in). ``heard`` tells, of each utterance it cut off, what was played of it."""

    id: int = 0
    """The number that a peer gave it, or is to be given; 0: none. The library itself goes by nothing that stands
    here."""
    name: str = ""
    """The name that a peer gave it, such as ``AudioRawFrame#7``; only dialects that name their frames write it."""
    heard: tuple[Played, ...] = field(default=(), eq=False, metadata=LOCAL)
    """Of each utterance that it cut off, what was played of it: tell a model no more than that was said."""


@documented
@final
@frozen(kw_only=True)
class UserStartedSpeakingFrame:
    """The user began to speak."""

    at_s: float | None = field(default=None, validator=optional(ge(0)))
    """When, in seconds of inbound audio since the start; a little before it was noticed. None where it is not known."""
    notice: bool = field(default=False, eq=False, metadata=LOCAL)
    """Whether the session itself noticed it. Then it is news for the handler, and sending it on tells the peer
    nothing."""


@documented
@final
@frozen(kw_only=True)
class UserStoppedSpeakingFrame:
    """The user stopped speaking: by the voice activity, and by the turn analyzer if there is one."""

    at_s: float | None = field(default=None, validator=optional(ge(0)))
    """When, in seconds of inbound audio since the start; a pause before it was noticed. None where it is not known."""
    notice: bool = field(default=False, eq=False, metadata=LOCAL)
    """Whether the session itself noticed it. Then it is news for the handler, and sending it on tells the peer
    nothing."""


@documented
@final
@frozen(kw_only=True)
class BotStartedSpeakingFrame:
    """Audio begins to leave after a pause."""

    destination: str | None = None
    """The track that speaks; None is the default one."""
    notice: bool = field(default=False, eq=False, metadata=LOCAL)
    """Whether the session itself noticed it. Then it is news for the handler, and sending it on tells the peer
    nothing."""


@documented
@final
@frozen(kw_only=True)
class BotStoppedSpeakingFrame:
    """The end of an utterance. Sent to an output, it flushes the last partial chunk."""

    destination: str | None = None
    """The track that has spoken; None is the default one."""
    notice: bool = field(default=False, eq=False, metadata=LOCAL)
    """Whether the session itself noticed it. Then it is news for the handler, and sending it on tells the peer
    nothing."""
    heard: Played | None = field(default=None, eq=False, metadata=LOCAL)
    """The session's own tells what was heard of the utterance by then."""
