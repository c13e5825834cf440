"""The messages that several providers share; a provider's ``rename`` gives their members its own spelling.

Rules
1. What a message is about is a class; members that nobody reads here are left out, and pass unread.
2. ``timestamp`` and ``chunk`` of a packet are numbers or digits. What is neither says nothing, and is no error: the
   audio beside it is as good as ever.
3. ``pts`` is in nanoseconds, as in Pipecat.
"""

from typing import Final

from attrs import frozen

from ...frames import JSONValue

CALLER: Final = "inbound"
OWN_VOICE: Final = "outbound"

_NS_PER_MS: Final = 1_000_000
_MAX_DIGITS: Final = 13
"""Some count the milliseconds since 1970."""


@frozen(kw_only=True)
class LineConnected:
    """The socket is open; the start message follows."""


@frozen(kw_only=True)
class MediaDetails:
    payload: bytes
    track: str = CALLER
    timestamp: JSONValue = None
    chunk: JSONValue = None


@frozen(kw_only=True)
class Media:
    media: MediaDetails


@frozen(kw_only=True)
class Key:
    digit: str


@frozen(kw_only=True)
class LineDtmf:
    dtmf: Key


@frozen(kw_only=True)
class MarkName:
    name: str


@frozen(kw_only=True)
class Mark:
    mark: MarkName


@frozen(kw_only=True)
class Stop:
    """The call, or the stream, has ended."""


@frozen(kw_only=True)
class Error:
    """Something that was sent, or the stream, has failed; the handler is told as it stands."""


@frozen(kw_only=True)
class Told:
    """What is passed on to the handler as it stands."""


@frozen(kw_only=True)
class Cleared:
    """A clear command was carried out."""


@frozen(kw_only=True)
class MediaFormat:
    """What is announced: some versions write numbers as strings, or the rate behind the encoding."""

    encoding: str | None = None
    sample_rate: JSONValue = None
    channels: JSONValue = None


@frozen(kw_only=True)
class SidMark:
    """A mark for a stream that has to be named; ``streamSid`` or ``stream_sid``."""

    stream_sid: str
    mark: MarkName


@frozen(kw_only=True)
class SidClear:
    stream_sid: str


@frozen(kw_only=True)
class IdMark:
    """A mark for a stream that has to be named; ``stream_id``."""

    stream_id: str
    mark: MarkName


@frozen(kw_only=True)
class IdClear:
    stream_id: str


@frozen(kw_only=True)
class Clear:
    """Stop what is playing, for a provider that knows the stream by its socket."""


def number(value: JSONValue) -> int | None:
    """A count that a peer wrote as a number or in digits; rule 2."""
    if type(value) is str:
        return int(value) if len(value) <= _MAX_DIGITS and value.isascii() and value.isdecimal() else None
    return value if type(value) is int and 0 <= value < 10**_MAX_DIGITS else None


def pts_of(timestamp: JSONValue) -> int | None:
    """The place of a packet in its stream; rules 2 and 3."""
    ms = number(timestamp)
    return None if ms is None else ms * _NS_PER_MS
