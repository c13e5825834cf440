"""What Genesys says, and the envelope of what it is told.

Rules (AudioHook protocol, version 2)
1. Every message has the session's ``id``. Each side numbers its own from 1 without gaps and says which of the other's
   it has seen; a gap, or a claim to have seen what was not sent, is an error.
2. No text is longer than ``MAX_TEXT_BYTES``.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from attrs import frozen

from ....errors import LocalProtocolError
from ....frames import JSONValue
from ...codec import dumps
from ...converters import TaggedUnion, make_converter, own_name
from ..messages import Told

VERSION: Final = "2"
MAX_TEXT_BYTES: Final = 65_536
SERVER_TYPES: Final = ("disconnect", "pause", "resume", "reconnect", "event")
"""What an application may say by itself; the other types are answers."""


@frozen(kw_only=True)
class Participant:
    id: str | None = None
    ani: str | None = None
    ani_name: str | None = None
    dnis: str | None = None


@frozen(kw_only=True)
class Offer:
    """One of the formats that the client can stream."""

    format: str
    channels: tuple[str, ...]
    rate: int
    type: str = "audio"


@frozen(kw_only=True)
class OpenParameters:
    organization_id: str | None = None
    conversation_id: str | None = None
    participant: Participant | None = None
    media: tuple[Offer, ...] = ()
    language: str | None = None
    custom_config: JSONValue = None
    input_variables: JSONValue = None


@frozen(kw_only=True)
class Open:
    parameters: OpenParameters


@frozen(kw_only=True)
class CloseParameters:
    reason: str | None = None


@frozen(kw_only=True)
class Close:
    parameters: CloseParameters = CloseParameters()


@frozen(kw_only=True)
class DiscardedParameters:
    start: str
    discarded: str


@frozen(kw_only=True)
class Discarded:
    """So much of the audio was dropped before it was sent."""

    parameters: DiscardedParameters


@frozen(kw_only=True)
class DtmfParameters:
    digit: str


@frozen(kw_only=True)
class GenesysDtmf:
    parameters: DtmfParameters


@frozen(kw_only=True)
class ResumedParameters:
    discarded: str | None = None


@frozen(kw_only=True)
class Resumed:
    """The client streams again, after so much that it did not."""

    parameters: ResumedParameters = ResumedParameters()


@frozen(kw_only=True)
class Ping:
    """To be answered at once."""


@frozen(kw_only=True)
class Update:
    """Something about the session has changed."""


Incoming: TypeAlias = Open | Close | Discarded | GenesysDtmf | Resumed | Ping | Update | Told


def _wire_name(attribute: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), own_name(attribute))


INCOMING: Final[TaggedUnion[Incoming]] = TaggedUnion(
    make_converter(rename=_wire_name),
    tag="type",
    kinds={
        "open": Open,
        "close": Close,
        "discarded": Discarded,
        "dtmf": GenesysDtmf,
        "paused": Told,
        "resumed": Resumed,
        "ping": Ping,
        "update": Update,
        "error": Told,
        "playback_started": Told,
        "playback_completed": Told,
    },
)

_UNNUMBERED: Final = '{"version":"2","seq":0,"clientseq":0,'
_DURATION: Final = re.compile(r"PT([0-9]{1,9}(?:\.[0-9]{1,9})?)S")


def unnumbered(kind: str, session_id: str, parameters: Mapping[str, JSONValue]) -> str:
    """A message that gets its numbers when it is written: one queued behind audio may be overtaken by an answer."""
    rest = dumps({"id": session_id, "type": kind, "parameters": dict(parameters)}, path="message")
    text = _UNNUMBERED + rest[1:]
    if len(text.encode()) + 40 > MAX_TEXT_BYTES:
        raise LocalProtocolError(f"a message to Genesys has at most {MAX_TEXT_BYTES} bytes, this one has {len(text)}")
    return text


def numbered(text: str, seq: int, clientseq: int) -> str:
    """The same message with its numbers; one that has them already stays as it is."""
    return f'{{"version":"2","seq":{seq},"clientseq":{clientseq},{text[len(_UNNUMBERED) :]}'


def is_unnumbered(text: str) -> bool:
    return text.startswith(_UNNUMBERED)


def seconds_in(duration: str) -> float | None:
    """Of an ISO 8601 duration in seconds, the only kind that is used: ``PT1.5S``."""
    parts = _DURATION.fullmatch(duration)
    return float(parts[1]) if parts else None
