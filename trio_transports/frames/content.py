"""What is said and sent beside the audio: words, transcriptions, messages, digits, marks."""

from typing import final

from attrs import field, frozen
from attrs.validators import and_, in_, instance_of, optional

from .common import LOCAL, JSONValue


@final
@frozen(kw_only=True)
class TextFrame:
    """Words: to be spoken by what follows, or to be read by the peer.

    ``utterance`` names what they are a part of, for ``output.playback``. An interruption drops them unless
    ``interruptible`` is False. ``aloud`` is False for what is only to be read, which overtakes the audio;
    received, for what the user wants answered in writing.
    """

    text: str = field(validator=instance_of(str))
    aloud: bool = field(default=True, validator=instance_of(bool))
    id: int = 0
    name: str = ""
    utterance: str | None = field(default=None, validator=optional(instance_of(str)), metadata=LOCAL)
    interruptible: bool = field(default=True, validator=instance_of(bool), metadata=LOCAL)


@final
@frozen(kw_only=True)
class TranscriptionFrame:
    """What was said, by whom, and when (``timestamp`` is ISO 8601 by convention of the peers that send it).

    One that is not ``final`` is a guess that a later one replaces.
    """

    text: str = field(validator=instance_of(str))
    final: bool = field(default=True, validator=instance_of(bool))
    user_id: str = ""
    timestamp: str = ""
    id: int = 0
    name: str = ""
    interruptible: bool = field(default=True, validator=instance_of(bool), metadata=LOCAL)


@final
@frozen(kw_only=True)
class MessageFrame:
    """A JSON document of the application's own. ``urgent`` ones overtake queued audio.

    An interruption drops one that is queued, unless it is urgent or ``interruptible`` is False.
    """

    message: JSONValue
    urgent: bool = False
    interruptible: bool = field(default=True, validator=instance_of(bool), metadata=LOCAL)


DTMF_DIGITS = "0123456789*#ABCD"


@final
@frozen(kw_only=True)
class DTMFFrame:
    """One key of a telephone: ``0`` to ``9``, ``*``, ``#``, ``A`` to ``D``."""

    digit: str = field(validator=and_(instance_of(str), in_(tuple(DTMF_DIGITS))))


@final
@frozen(kw_only=True)
class MarkFrame:
    """A named place in the audio: sent, it asks the peer to tell when it was played; received, it was."""

    mark: str = field(validator=instance_of(str))
