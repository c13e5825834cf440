"""One Genesys session: opened, streamed both ways, and closed by the client's word.

Received: ``open`` (StartFrame, answered by ``opened``), binary (AudioFrame), ``dtmf`` (DTMFFrame), ``ping`` (answered),
``update`` (answered, and a MessageFrame), ``discarded``, ``paused``, ``resumed``, ``error``, ``playback_started`` and
``playback_completed`` (MessageFrame), ``close`` (EndFrame, answered by ``closed``). Sent: AudioFrame (binary),
InterruptionFrame (the barge-in entity), EndFrame (``disconnect``), MessageFrame with a ``type`` of ``disconnect``,
``pause``, ``resume``, ``reconnect`` or ``event`` and its ``parameters``, such as ``outputVariables``.

Genesys closes a session by ``close``, after ``disconnect`` too: after an EndFrame the connection stays open until that
was answered, ``close_timeout`` at most. A bot that sends ``disconnect`` as a MessageFrame reads its input to its end;
one that returns without either closes the connection itself.

Rules
1. Of the media that is offered the first is taken whose code is known here, with both channels if ``tracks`` asks for
   the agent's side too. If there is none, the session is refused and the client told why.
2. A connection probe (no conversation, or no participant, but zeros) is answered, and gives no frames: no call is
   there. Its end gives an EndFrame.
3. There is no audio before ``opened`` was given. ``pts`` is its place in the stream; what was discarded is counted.
4. Numbers are put in when a message is written (``numbered``), so that they are in the order of the wire.
5. Packets have 1600 samples, 200 ms: smaller ones can pass Genesys' limit of messages a second.
6. A break of the rules of numbering is answered once by ``disconnect``, with the reason.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final, final

import numpy as np
from attrs import define, evolve, field
from attrs.validators import deep_iterable, in_

from ...._documented import documented
from ....audio.codecs import Decoder, Encoder, make_decoder, make_encoder
from ....audio.codecs.codec import L16, PCMU
from ....audio.format import AudioFormat
from ....errors import LocalProtocolError, RemoteProtocolError
from ....frames import (
    AudioFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    JSONValue,
    MessageFrame,
    StartFrame,
    checked_audio_frame,
)
from ...codec import WHOLE, loads
from ...converters import mismatch
from ...protocol import Message, StartRefused, start_anew
from ..audio_out import not_started
from ..messages import CALLER
from ..serializer import PACKET_MS_RULE, key_pressed
from .messages import (
    INCOMING,
    MAX_TEXT_BYTES,
    SERVER_TYPES,
    VERSION,
    Close,
    Discarded,
    GenesysDtmf,
    Incoming,
    Offer,
    Open,
    Paused,
    Ping,
    Resumed,
    Told,
    Update,
    is_unnumbered,
    numbered,
    seconds_in,
    unnumbered,
)

AGENT: Final = "internal"
EXTERNAL: Final = "external"
RATE: Final = 8000
GENESYS_PACKET_MS: Final = 200
ENCODINGS: Final = (PCMU, L16)

_MAX_ID_CHARS: Final = 256
_NS: Final = 1_000_000_000


def _is_nobody(identity: str | None) -> bool:
    return identity is not None and identity != "" and not identity.strip("0-")


@documented
@final
@define(eq=False, kw_only=True)
class GenesysFrameSerializer:
    """One session; ``tracks`` has "inbound" for the caller and "internal" for the agent's side."""

    names_destinations: ClassVar[bool] = False
    """Whether messages can name the output track that they are for: if not, a session has one track."""
    carries_pictures: ClassVar[bool] = False
    """It has no message for a picture."""

    encodings: tuple[str, ...] = field(default=ENCODINGS, validator=deep_iterable(in_(ENCODINGS)))
    """The codes that may be taken, of those that are offered."""
    tracks: tuple[str, ...] = field(default=(CALLER,), validator=deep_iterable(in_((CALLER, AGENT))))
    """Which sides are heard: ``inbound`` is the caller, ``internal`` the agent, who comes with that name as
    ``destination``."""
    chunk_ms: int | None = field(default=GENESYS_PACKET_MS, validator=PACKET_MS_RULE)
    """How many milliseconds of audio one message carries. Genesys limits how many messages a second it takes: 200 is
    safe, 20 is cut off."""
    start: StartFrame | None = field(default=None, init=False)
    """What the open message said; None until it came."""
    is_paused: bool = field(default=False, init=False)
    """Whether Genesys has asked for no audio for now, as while the caller is on hold."""
    _id: str | None = field(default=None, init=False)
    _is_open: bool = field(default=False, init=False)
    _has_disconnected: bool = field(default=False, init=False)
    _was_closed: bool = field(default=False, init=False)
    """By the client, whose word it is."""
    _heard: int = field(default=0, init=False)
    """The number of the client's last message."""
    _unread: int = field(default=0, init=False)
    """How many of the client's messages since then could not be read."""
    _said: int = field(default=0, init=False)
    """The number of the last message from here."""
    _owed: tuple[Message, ...] = field(default=(), init=False)
    _decoder: Decoder | None = field(default=None, init=False)
    _encoder: Encoder = field(factory=lambda: make_encoder(PCMU, RATE), init=False)
    _channels: tuple[str, ...] = field(default=(), init=False)
    _position_samples: int = field(default=0, init=False)

    @property
    def audio_format(self) -> AudioFormat:
        """The PCM that this dialect carries; the session converts to it and from it."""
        return self._encoder.format

    @property
    def is_ready(self) -> bool:
        """Whether the peer has announced its stream, so that it can be addressed; audio waits until then."""
        return self._is_open

    @property
    def has_marks(self) -> bool:
        """Whether the peer tells when a mark was played. Without, what was heard is reckoned by the clock."""
        return False

    @property
    def numbers(self) -> bool:
        """True: each text message has a number."""
        return True

    @property
    def max_message_bytes(self) -> int:
        """The longest message, in bytes, that such a peer sends: what ``max_message_bytes`` is unless you set it."""
        return MAX_TEXT_BYTES

    @property
    def awaits_close(self) -> bool:
        """Whether Genesys' own ``close`` is still to come."""
        return self._has_disconnected and not self._was_closed

    def fresh(self) -> "GenesysFrameSerializer":
        """One with the same settings for another call."""
        return evolve(self)

    def reconnected(self) -> None:
        """Forget what was known of a connection that is lost: the next begins with its own open message."""
        start_anew(self, self.fresh())

    # Out

    def numbered(self, message: Message) -> Message:
        """Put the next number into a message that is written now; rule 4."""
        if not isinstance(message, str) or not is_unnumbered(message):
            return message
        self._said += 1
        return numbered(message, self._said, self._heard)

    def replies(self) -> Sequence[Message]:
        """What Genesys is owed since the last call."""
        owed, self._owed = self._owed, ()
        return owed

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The messages for one frame, in order; none where this dialect has no message for it."""
        match frame:
            case AudioFrame():
                return self._packet(frame)
            case InterruptionFrame():
                barge_in: JSONValue = {"type": "barge_in", "data": {}}
                return self._say("event", {"entities": [barge_in]}) if self._is_open else ()
            case EndFrame(reason=reason):
                if not self._is_open or self._has_disconnected:
                    return ()
                self._has_disconnected = True
                told: dict[str, JSONValue] = {"reason": "completed"}
                return self._say("disconnect", told if reason is None else {**told, "info": reason})
            case MessageFrame(message=message):
                return self._custom(message)
            case _:
                return ()

    def _packet(self, frame: AudioFrame) -> Sequence[Message]:
        wanted = self._encoder.format
        if frame.sample_rate != wanted.sample_rate or frame.num_channels != 1:
            raise LocalProtocolError(
                f"the line carries {wanted}, not {frame.format}: convert the audio before encoding it"
            )
        if not frame.audio:
            return ()
        if not self._is_open:
            raise not_started("audio")
        return (self._encoder.encode(frame.audio),)

    def _custom(self, message: JSONValue) -> Sequence[Message]:
        if isinstance(message, dict) and message.get("label") == "rtvi-ai":
            return ()
        match message:
            case {"type": str(kind), **rest} if kind in SERVER_TYPES:
                if not self._is_open:
                    raise not_started(kind)
                self._has_disconnected |= kind == "disconnect"
                parameters = rest.get("parameters")
                return self._say(kind, parameters if isinstance(parameters, dict) else {})
        raise LocalProtocolError(
            f"a MessageFrame to Genesys must be an object with a type of {', '.join(SERVER_TYPES)}, and its parameters"
        )

    def _say(self, kind: str, parameters: dict[str, JSONValue]) -> tuple[Message, ...]:
        return (unnumbered(kind, self._id or "", parameters),)

    # In

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in one message.

        What cannot be read raises ``RemoteProtocolError``; what is not known gives none.
        """
        if isinstance(message, bytes):
            return self._audio(message)
        if len(message) > MAX_TEXT_BYTES:
            raise RemoteProtocolError(f"a text message has at most {MAX_TEXT_BYTES} bytes", path=WHOLE)
        with self._unread_if_refused():
            document = loads(message)
            if not isinstance(document, dict):
                raise mismatch("an object", document, path=WHOLE)
            incoming = INCOMING.structure(document)
        seq = self._checked_number(document, is_open=isinstance(incoming, Open))
        with self._unread_if_refused():
            frames = self._frames(incoming, document) if incoming is not None else ()
        self._heard, self._unread = seq, 0
        return frames

    @contextmanager
    def _unread_if_refused(self) -> Iterator[None]:
        """What cannot be read had a number all the same."""
        try:
            yield
        except RemoteProtocolError:
            self._unread += self._is_open
            raise

    def _checked_number(self, document: dict[str, JSONValue], *, is_open: bool) -> int:
        """The message's number, or an error for what breaks the protocol's own rules; rule 6."""
        if document.get("version") != VERSION:
            raise RemoteProtocolError(f"version {VERSION} is wanted", path="version")
        identity = document.get("id")
        if not isinstance(identity, str) or not 0 < len(identity) <= _MAX_ID_CHARS:
            raise RemoteProtocolError(f"an id of 1 to {_MAX_ID_CHARS} characters is wanted", path="id")
        if self._id is None and not is_open:
            raise RemoteProtocolError("an open message is wanted first", path="type")
        if self._id is not None and (is_open or identity != self._id):
            raise self._broken("the session is open already" if is_open else "another session's id", "id")
        seq = document.get("seq")
        # Those that could not be read since the last good one had numbers too.
        if type(seq) is not int or not self._heard < seq <= self._heard + 1 + self._unread:
            raise self._broken(f"message {self._heard + 1} is wanted", "seq")
        seen = document.get("serverseq")
        if type(seen) is not int or not 0 <= seen <= self._said:
            raise self._broken(f"of this side's messages {self._said} were sent, no more", "serverseq")
        return seq

    def _broken(self, reason: str, path: str) -> RemoteProtocolError:
        if self._is_open and not self._has_disconnected:
            self._has_disconnected = True
            self._owed += self._say("disconnect", {"reason": "error", "info": f"{path}: {reason}"})
        return RemoteProtocolError(reason, path=path)

    def _frames(self, incoming: Incoming, document: dict[str, JSONValue]) -> Sequence[Frame]:
        told = (MessageFrame(message=document),)
        match incoming:
            case Open():
                return self._opened(incoming, document)
            case Close(parameters=parameters):
                self._owed += self._say("closed", {})
                self._has_disconnected = self._was_closed = True
                return (EndFrame(reason=parameters.reason),)
            case Ping():
                self._owed += self._say("pong", {})
                return ()
            case Update():
                self._owed += self._say("updated", {})
                return told
            case GenesysDtmf(parameters=key):
                return (key_pressed(key.digit, path="parameters.digit"),)
            case Discarded(parameters=parameters):
                seconds = seconds_in(parameters.discarded)
                if seconds is None:
                    raise RemoteProtocolError("a duration like PT1.5S is wanted", path="parameters.discarded")
                self._position_samples += round(seconds * RATE)
                return told
            case Paused():
                self.is_paused = True
                return told
            case Resumed():
                self.is_paused = False
                return told
            case Told():
                return told

    def _opened(self, message: Open, document: dict[str, JSONValue]) -> Sequence[Frame]:
        told = message.parameters
        is_probe = _is_nobody(told.conversation_id) or (
            told.participant is not None and _is_nobody(told.participant.id)
        )
        offer = self._chosen(told.media)
        identity = document["id"]
        assert isinstance(identity, str)
        if offer is None and (told.media or not is_probe):
            formats = ", ".join(f"{each.format[:20]!a} at {each.rate}" for each in told.media[:5]) or "nothing"
            reason = f"{formats} is offered, and {' or '.join(self.encodings)} at {RATE} can be taken"
            if not self._has_disconnected:
                self._has_disconnected = True
                self._owed = (unnumbered("disconnect", identity, {"reason": "error", "info": reason}),)
            raise StartRefused(reason, path="parameters.media")
        self._id, self._is_open = identity, True
        media: list[JSONValue] = []
        if offer is not None:
            self._decoder, self._encoder = make_decoder(offer.format, RATE), make_encoder(offer.format, RATE)
            self._channels = offer.channels
            media = [{"type": "audio", "format": offer.format, "channels": list(offer.channels), "rate": RATE}]
        self._owed = self._say("opened", {"startPaused": False, "media": media})
        if is_probe:
            return ()
        participant = told.participant
        parameters = {
            "organizationId": told.organization_id,
            "conversationId": told.conversation_id,
            "language": told.language,
            "customConfig": told.custom_config,
            "inputVariables": told.input_variables,
            "aniName": None if participant is None else participant.ani_name,
        }
        self.start = StartFrame(
            stream_id=identity,
            call_id=told.conversation_id,
            account_id=told.organization_id,
            from_number=None if participant is None else participant.ani,
            to_number=None if participant is None else participant.dnis,
            audio_in_sample_rate=RATE,
            audio_out_sample_rate=RATE,
            parameters={name: value for name, value in parameters.items() if value is not None},
        )
        return (self.start,)

    def _chosen(self, offers: tuple[Offer, ...]) -> Offer | None:
        """Rule 1."""
        known = [
            offer
            for offer in offers
            if offer.format in self.encodings
            and offer.rate == RATE
            and offer.type == "audio"
            and offer.channels in ((EXTERNAL,), (AGENT,), (EXTERNAL, AGENT))
        ]
        wanted = tuple(channel for channel, track in ((EXTERNAL, CALLER), (AGENT, AGENT)) if track in self.tracks)
        exact = [offer for offer in known if offer.channels == wanted]
        enough = [offer for offer in known if set(wanted) <= set(offer.channels)]
        return next(iter([*exact, *enough, *known]), None)

    def _audio(self, data: bytes) -> Sequence[Frame]:
        decoder, channels = self._decoder, self._channels
        if decoder is None:
            raise RemoteProtocolError("audio before an open message was answered", path=WHOLE)
        width = (2 if decoder.encoding == L16 else 1) * len(channels)
        if len(data) % width:
            raise RemoteProtocolError(
                f"{len(data)} bytes are not whole samples of {len(channels)} channels", path=WHOLE
            )
        if not data:
            return ()
        pts = self._position_samples * _NS // RATE
        self._position_samples += len(data) // width
        sides = [data]
        if len(channels) == 2:
            codes = np.frombuffer(data, "<i2" if decoder.encoding == L16 else np.uint8).reshape(-1, 2)
            sides = [codes[:, 0].tobytes(), codes[:, 1].tobytes()]
        return tuple(
            checked_audio_frame(decoder.decode(side), RATE, 1, pts, None if name == EXTERNAL else AGENT)
            for name, side in zip(channels, sides, strict=True)
            if (CALLER if name == EXTERNAL else AGENT) in self.tracks
        )
