"""What there is to know of a provider's line, as a table; and how what it announces becomes a code, or a refusal.

Rules
1. A start message is honoured or refused. A code, rate, channel count or choice of tracks that this side cannot carry
   is a ``StartRefused`` that names it and its place.
2. What the application gave overrules what is announced, and the log says so where the two differ: one of them is
   wrong, and what is wrong is heard as noise or at another pitch.
3. An id is bounded: it goes out again with every packet.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, final

from attrs import field, frozen

from ...audio.codecs import Decoder, Encoder, encoding_of, make_decoder, make_encoder
from ...audio.codecs.codec import ByteOrder
from ...errors import RemoteProtocolError
from ...frames import JSONValue, StartFrame
from ..codec import dumps
from ..converters import TaggedUnion
from ..protocol import StartRefused
from .messages import CALLER, OWN_VOICE, MediaFormat, number

logger = logging.getLogger("trio_transports.serializers")

TELEPHONE_RATE: Final = 8000

LINE_MESSAGE_BYTES: Final = 65_536
"""More than any provider's message: 20 ms of its audio, or a start message with the application's own parameters."""

MAX_ID_CHARS: Final = 256


@final
@frozen(kw_only=True, eq=False)
class Line:
    """One provider's line. ``stream`` below is the id that the start message gave, "" where there is none.

    ``start`` is the class of its start message. ``codecs`` has the rates of each code; the first of all is what a start
    message means that says nothing. ``packet`` has what stands around the base64 of a packet's audio; None: audio is
    the binary messages. A command is a message of ``outgoing``, or the text itself.
    """

    name: str
    incoming: TaggedUnion[Any]
    start: type
    outgoing: TaggedUnion[Any] | None = None
    codecs: Mapping[str, tuple[int, ...]]
    packet: Callable[[str, Encoder], tuple[str, str]] | None = None
    packet_ms: int | None = 20
    mark: Callable[[str, str], object] | None = None
    clear: Callable[[str], object] | None = None
    end: Callable[[str], object] | None = None
    tracks: tuple[str, ...] = (CALLER,)
    hears_digits: bool = True
    names_streams: bool = True
    takes_messages: bool = True
    why_no_messages: str = ""
    byte_order: ByteOrder = "little"
    max_message_bytes: int = LINE_MESSAGE_BYTES

    @property
    def default_media(self) -> tuple[str, int]:
        encoding, rates = next(iter(self.codecs.items()))
        return encoding, rates[0]


BOTH_TRACKS: Final = (CALLER, OWN_VOICE)


@final
@frozen(kw_only=True)
class Announcement:
    """What a start message says: ``start`` is what the handler is told, less the rates, which are the codes'."""

    receive: "Coding"
    send: "Coding"
    start: StartFrame
    media_at: str
    """Where in the message the codes stand."""
    stream_id: str = ""
    id_at: str = ""
    """Where in the message the id stands; "" for a line without ids."""


@final
@frozen(kw_only=True)
class Coding:
    """A code with its rate, as announced or as given."""

    encoding: str
    rate: int
    byte_order: ByteOrder = "little"
    is_told: bool = field(default=False, eq=False)
    """The start message says so; else it is what the line has where nothing is said."""

    def decoder(self, channels: int = 1) -> Decoder:
        return make_decoder(self.encoding, self.rate, channels, byte_order=self.byte_order)

    def encoder(self, bitrate: int | None = None) -> Encoder:
        return make_encoder(self.encoding, self.rate, byte_order=self.byte_order, bitrate=bitrate)


def announced(
    line: Line,
    media: MediaFormat | None,
    *,
    at: str,
    rate_at: str = "sample_rate",
    byte_order: ByteOrder = "little",
) -> Coding:
    """The code that a start message announces, of those the line has; rule 1. ``at`` is the place of ``media``."""
    media = media or MediaFormat()
    encoding, default_rate = line.default_media
    rate = media.sample_rate
    if media.encoding is not None:
        encoding = encoding_of(media.encoding) or ""
        if encoding not in line.codecs:
            known = ", ".join(line.codecs)
            raise StartRefused(
                f"the line's audio is {media.encoding[:40]!a}, of which nothing is known here: {known} can be taken",
                path=f"{at}.encoding",
            )
        default_rate = line.codecs[encoding][0]
        written = media.encoding.partition("rate=")[2]
        if rate is None:
            rate = written or None
        elif written and written != str(rate):
            raise StartRefused(
                f"the line's audio is {media.encoding[:40]!a} and its rate another one", path=f"{at}.{rate_at}"
            )
    if media.channels is not None and number(media.channels) != 1:
        raise StartRefused(f"one channel can be taken, not {str(media.channels)[:20]!a}", path=f"{at}.channels")
    return Coding(
        encoding=encoding,
        rate=known_rate(rate, line.codecs[encoding], default_rate, path=f"{at}.{rate_at}"),
        byte_order=byte_order,
        is_told=media.encoding is not None or media.sample_rate is not None,
    )


def known_rate(rate: JSONValue, known: tuple[int, ...], default: int, *, path: str) -> int:
    """The announced rate, as a number or in digits; none announced is the default."""
    if rate is None:
        return default
    value = number(rate)
    if value not in known or str(value) != str(rate):
        raise StartRefused(f"a sample rate of {', '.join(map(str, known))} is wanted", path=path)
    assert value is not None
    return value


def check_tracks(announced_tracks: JSONValue, wanted: tuple[str, ...], *, path: str) -> None:
    """Refuse a stream of which nothing would be heard; "both", as a word or in a list, is all that the line has."""
    if isinstance(announced_tracks, str):
        announced_tracks = [announced_tracks]
    if (
        isinstance(announced_tracks, list)
        and announced_tracks
        and not set(map(_track, announced_tracks)) & {*wanted, "both"}
    ):
        only = ", ".join(str(track)[:20] for track in announced_tracks[:4])
        raise StartRefused(f"the stream carries {only} and tracks= asks for {', '.join(wanted)}", path=path)


def _track(announced_track: JSONValue) -> str:
    """Its name, without what Twilio's and Telnyx' APIs write behind it."""
    return str(announced_track).removesuffix("_track").removesuffix("_tracks")


def check_id(stream_id: str, *, path: str) -> None:
    """RemoteProtocolError for an id of a stream that is empty or unreasonably long."""
    if not 0 < len(stream_id) <= MAX_ID_CHARS:
        raise RemoteProtocolError(f"an id of 1 to {MAX_ID_CHARS} characters is wanted", path=path)


def sid_packet(member: str, stream: str, _encoder: Encoder) -> tuple[str, str]:
    """Around the audio in the words of Twilio and its kin; ``member`` is what they call the stream's id."""
    return f'{{"event":"media","{member}":{dumps(stream)},"media":{{"payload":"', '"}}'


def packet_naming(member: str) -> Callable[[str, Encoder], tuple[str, str]]:
    return partial(sid_packet, member)


def given(line: Line, encoding: str | None, sample_rate: int | None, announced: Coding | None = None) -> Coding:
    """The code of one direction: what the application gave overrules what was announced, and that the usual one.

    A rate that was given and that the code has not is a ValueError.
    """
    usual = announced or Coding(encoding=line.default_media[0], rate=line.default_media[1])
    code = encoding or usual.encoding
    rates = line.codecs[code]
    if sample_rate is not None and sample_rate not in rates:
        raise ValueError(f"{line.name} carries {code} at {', '.join(map(str, rates))} Hz, not at {sample_rate}")
    rate = sample_rate or usual.rate
    coding = Coding(encoding=code, rate=rate if rate in rates else rates[0], byte_order=usual.byte_order)
    if usual.is_told and coding != usual:
        warn_of_overruling(line, coding.encoding, coding.rate, usual.encoding, usual.rate)
    return coding


def warn_of_overruling(line: Line, encoding: str, rate: int, told_encoding: str, told_rate: int) -> None:
    """Rule 2."""
    logger.warning(
        "%s announces %s at %d Hz, and the serializer was given %s at %d Hz, which is used: give neither, unless the "
        "announcement is wrong",
        line.name,
        told_encoding,
        told_rate,
        encoding,
        rate,
    )
