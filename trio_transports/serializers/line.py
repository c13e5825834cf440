"""What the telephone dialects share: the messages that are alike, and how their parts become frames.

Rules
1. The line's audio is mono. A frame of another format is the caller's mistake: the session converts before it encodes.
2. ``media`` of the track "outbound" is this side's own voice and gives no frames; so does an empty payload.
3. The stream's id comes with the start message, once, or was given. Until one is known, audio and marks cannot be
   addressed and are an error; an interruption has nothing to clear and gives no message.
4. A ``MessageFrame`` is sent as it is, except one labelled "rtvi-ai": a telephone has no use for it.
5. A start message that is refused changes nothing. The id it brings is bounded: it goes out again with every packet.
"""

from binascii import a2b_base64
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, Self, cast

from attrs import frozen
from attrs.validators import and_, ge, instance_of, optional

from ..audio.format import AudioFormat
from ..errors import LocalProtocolError, RemoteProtocolError
from ..frames import (
    DTMF_DIGITS,
    AudioFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    JSONValue,
    MarkFrame,
    MessageFrame,
    StartFrame,
    checked_audio_frame,
)
from .codec import MAX_DEPTH, check_depth, dumps, loads_of_any_depth
from .protocol import Message, StartRefused

TELEPHONE_RATE: Final = 8000
TELEPHONE: Final = AudioFormat(TELEPHONE_RATE)
PACKET_MS: Final[int | None] = 20

PACKET_MS_RULE: Final = optional(and_(instance_of(int), ge(10)))
ID_RULE: Final = optional(instance_of(str))

_MAX_ID_CHARS: Final = 256
_RTVI_LABEL: Final = "rtvi-ai"
_OWN_VOICE: Final = "outbound"
_CALLER: Final = "inbound"
_PAYLOAD: Final = "media.payload"


class CallSerializer(Protocol):
    """What every telephone dialect offers a session, beyond being a ``FrameSerializer``."""

    @property
    def audio_format(self) -> AudioFormat: ...

    @property
    def is_ready(self) -> bool: ...

    @property
    def has_marks(self) -> bool: ...

    @property
    def chunk_ms(self) -> int | None: ...

    @property
    def start(self) -> StartFrame | None: ...

    def encode(self, frame: Frame) -> Sequence[Message]: ...

    def decode(self, message: Message) -> Sequence[Frame]: ...

    def fresh(self) -> Self: ...


@frozen(kw_only=True)
class Connected:
    """The socket is open; the start message follows."""


@frozen(kw_only=True)
class MediaDetails:
    payload: bytes
    track: str = _CALLER


@frozen(kw_only=True)
class Media:
    media: MediaDetails


@frozen(kw_only=True)
class Key:
    digit: str


@frozen(kw_only=True)
class Dtmf:
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


def read(message: Message) -> "JSONValue | bytes":
    """The payload of the caller's voice in its usual shape: the hot path; or else the JSON of the message.

    Whatever is unusual or wrong about it is left to the converter, which says what.
    """
    value: Any = loads_of_any_depth(message)
    try:
        media = value["media"]
        payload = media["payload"]
        if (
            value["event"] == "media"
            and media.get("track", _CALLER) == _CALLER
            # So short beside the payload, it has no room for deep nesting.
            and len(message) - len(payload) < 2 * MAX_DEPTH
        ):
            return a2b_base64(payload, strict_mode=True)
    except (KeyError, TypeError, AttributeError, ValueError):
        pass
    check_depth(value)
    return cast("JSONValue", value)


def pcm_frames(pcm: bytes, audio_format: AudioFormat, *, path: str = _PAYLOAD) -> Sequence[Frame]:
    if len(pcm) % 2:
        raise RemoteProtocolError(f"{len(pcm)} bytes are not whole 16-bit samples", path=path)
    return (checked_audio_frame(pcm, audio_format.sample_rate),) if pcm else ()


def unsent(frame: AudioFrame, wanted: AudioFormat, *, is_ready: bool) -> Sequence[Message]:
    """Why audio did not leave: an error, or there is none in it."""
    if frame.sample_rate != wanted.sample_rate or frame.num_channels != 1:
        raise LocalProtocolError(f"the line carries {wanted}, not {frame.format}: convert the audio before encoding it")
    if not is_ready:
        raise not_started("audio")
    return ()


def key_pressed(digit: str, *, path: str) -> DTMFFrame:
    if len(digit) != 1 or digit not in DTMF_DIGITS:
        raise RemoteProtocolError(f"one of {DTMF_DIGITS} is wanted", path=path)
    return DTMFFrame(digit=digit)


def frames_of(message: object, to_pcm: Callable[[bytes], bytes], audio_format: AudioFormat) -> Sequence[Frame]:
    """The frames of a message that most dialects have; none for one that brings no news."""
    match message:
        case Media(media=media):
            heard = media.payload if media.track != _OWN_VOICE else b""
            return pcm_frames(to_pcm(heard), audio_format) if heard else ()
        case Dtmf(dtmf=key):
            return (key_pressed(key.digit, path="dtmf.digit"),)
        case Mark(mark=mark):
            return (MarkFrame(mark=mark.name),)
        case Stop():
            return (EndFrame(),)
        case _:
            return ()


def custom_message(frame: MessageFrame) -> Sequence[Message]:
    message = frame.message
    if isinstance(message, dict) and message.get("label") == _RTVI_LABEL:
        return ()
    return (dumps(message, path="message"),)


def not_started(what: str) -> LocalProtocolError:
    return LocalProtocolError(f"{what} cannot be sent before the start message: it names the stream to address")


def check_first(start: StartFrame | None, *, path: str) -> None:
    if start is not None:
        raise RemoteProtocolError("the stream has started already", path=path)


def check_encoding(encoding: str | None, *wanted: str, path: str) -> None:
    """Refuse a stream in a code that would be heard as noise here."""
    if encoding is not None and encoding.partition(";")[0].strip().lower() not in wanted:
        raise StartRefused(
            f"the line's audio is {encoding[:40]!a}, only {' or '.join(wanted)} is taken here", path=path
        )


def check_id(stream_id: str, *, path: str) -> None:
    if not 0 < len(stream_id) <= _MAX_ID_CHARS:
        raise RemoteProtocolError(f"an id of 1 to {_MAX_ID_CHARS} characters is wanted", path=path)
