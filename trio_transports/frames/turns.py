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
    seconds: float
    sent_seconds: float
    """How long it is, as far as it was sent."""
    texts: "tuple[TextFrame, ...]" = ()
    """Those of its text frames at whose place among the audio the peer's player has been."""
    is_complete: bool = False
    """Nothing more of it was to come, and all was played."""
    is_over: bool = False
    """This will not change any more: it is complete, or was interrupted."""


@final
@frozen(kw_only=True)
class InterruptionFrame:
    """What is playing stops now (barge-in). ``heard`` tells, of each utterance it cut off, what was played of it."""

    id: int = 0
    name: str = ""
    heard: tuple[Played, ...] = field(default=(), eq=False, metadata=LOCAL)


@final
@frozen(kw_only=True)
class UserStartedSpeakingFrame:
    """``at_s`` is the time in the inbound audio, in seconds since its start, at which speech began.

    ``notice``: see rule 6.
    """

    at_s: float | None = field(default=None, validator=optional(ge(0)))
    notice: bool = field(default=False, eq=False, metadata=LOCAL)


@final
@frozen(kw_only=True)
class UserStoppedSpeakingFrame:
    """``at_s`` is the time in the inbound audio, in seconds since its start, at which speech ended.

    ``notice``: see rule 6.
    """

    at_s: float | None = field(default=None, validator=optional(ge(0)))
    notice: bool = field(default=False, eq=False, metadata=LOCAL)


@final
@frozen(kw_only=True)
class BotStartedSpeakingFrame:
    """Audio begins to leave after a pause. ``notice``: see rule 6."""

    destination: str | None = None
    notice: bool = field(default=False, eq=False, metadata=LOCAL)


@final
@frozen(kw_only=True)
class BotStoppedSpeakingFrame:
    """The end of an utterance. Sent to an output, it flushes the last partial chunk.

    ``notice``: see rule 6. The session's own tells what was ``heard`` of the utterance by then.
    """

    destination: str | None = None
    notice: bool = field(default=False, eq=False, metadata=LOCAL)
    heard: Played | None = field(default=None, eq=False, metadata=LOCAL)
