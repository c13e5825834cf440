"""What is said and sent beside the audio: words, transcriptions, messages, digits, marks."""

from typing import final

from attrs import field, frozen
from attrs.validators import and_, in_, instance_of, optional

from .._documented import documented
from .common import LOCAL, JSONValue


@documented
@final
@frozen(kw_only=True)
class TextFrame:
    """Words: to be spoken by what follows, or to be read by the peer."""

    text: str = field(validator=instance_of(str))
    """The words."""
    aloud: bool = field(default=True, validator=instance_of(bool))
    """False for what is only to be read, which overtakes the audio; received, for what the user wants answered in
    writing."""
    id: int = 0
    """The number that a peer gave it, or is to be given; 0: none. The library itself goes by nothing that stands
    here."""
    name: str = ""
    """The name that a peer gave it, such as ``AudioRawFrame#7``; only dialects that name their frames write it."""
    utterance: str | None = field(default=None, validator=optional(instance_of(str)), metadata=LOCAL)
    """What it is a part of, a name of your choice: ``output.playback`` tells by it how much was heard. None: the run of
    speech under way."""
    interruptible: bool = field(default=True, validator=instance_of(bool), metadata=LOCAL)
    """False keeps it through an interruption: an interruption drops queued words otherwise."""


@documented
@final
@frozen(kw_only=True)
class TranscriptionFrame:
    """What was said, by whom, and when."""

    text: str = field(validator=instance_of(str))
    """What was said, as it was understood."""
    final: bool = field(default=True, validator=instance_of(bool))
    """False for a guess that a later one replaces: do not answer it."""
    user_id: str = ""
    """Who said it, where there are several; empty where it does not matter."""
    timestamp: str = ""
    """When, as ISO 8601 by convention of the peers that send it; it is passed on as it is."""
    id: int = 0
    """The number that a peer gave it, or is to be given; 0: none. The library itself goes by nothing that stands
    here."""
    name: str = ""
    """The name that a peer gave it, such as ``AudioRawFrame#7``; only dialects that name their frames write it."""
    interruptible: bool = field(default=True, validator=instance_of(bool), metadata=LOCAL)
    """False keeps it through an interruption: an interruption drops one that is queued otherwise."""


@documented
@final
@frozen(kw_only=True)
class MessageFrame:
    """A JSON document of the application's own, for peers that speak it."""

    message: JSONValue
    """Anything that JSON can hold. What it cannot hold raises when it is sent."""
    urgent: bool = False
    """Whether it overtakes queued audio. Otherwise it leaves when the audio before it has."""
    interruptible: bool = field(default=True, validator=instance_of(bool), metadata=LOCAL)
    """False keeps it through an interruption: one that is queued and not urgent is dropped otherwise."""


DTMF_DIGITS = "0123456789*#ABCD"
"""The sixteen keys of a telephone, as ``DTMFFrame.digit`` has them."""


@documented
@final
@frozen(kw_only=True)
class DTMFFrame:
    """One key of a telephone, pressed or to be pressed.

    Where the dialect has no message for it, it leaves as a tone.
    """

    digit: str = field(validator=and_(instance_of(str), in_(tuple(DTMF_DIGITS))))
    """``0`` to ``9``, ``*``, ``#``, ``A`` to ``D``: one character."""


@documented
@final
@frozen(kw_only=True)
class MarkFrame:
    """A named place in the audio: sent, it asks the peer to tell when it was played; received, it was."""

    mark: str = field(validator=instance_of(str))
    """Its name, by which the answer is known. Each should be used once in a call."""
